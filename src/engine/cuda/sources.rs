//! The CUDA files of `kernels/`, with their includes put in place: the compiler gets one text, and
//! no file has to be found at run time.

/// Name and text of every file in `kernels/`.
pub const FILES: &[(&str, &str)] = &[
    ("element.cuh", include_str!("../../../kernels/element.cuh")),
    ("sample.cuh", include_str!("../../../kernels/sample.cuh")),
    ("interpreter.cuh", include_str!("../../../kernels/interpreter.cuh")),
    ("pass_whole.cu", include_str!("../../../kernels/pass_whole.cu")),
    ("pass_rows.cu", include_str!("../../../kernels/pass_rows.cu")),
    ("pass_columns.cu", include_str!("../../../kernels/pass_columns.cu")),
    ("model.cuh", include_str!("../../../kernels/model.cuh")),
    ("add.cu", include_str!("../../../kernels/add.cu")),
    ("bias_activation.cu", include_str!("../../../kernels/bias_activation.cu")),
    ("convolution.cu", include_str!("../../../kernels/convolution.cu")),
    ("cross_entropy.cu", include_str!("../../../kernels/cross_entropy.cu")),
    ("dot.cu", include_str!("../../../kernels/dot.cu")),
    ("embedding.cu", include_str!("../../../kernels/embedding.cu")),
    ("heads.cu", include_str!("../../../kernels/heads.cu")),
    ("layer_norm.cu", include_str!("../../../kernels/layer_norm.cu")),
    ("multiply.cu", include_str!("../../../kernels/multiply.cu")),
    ("narrow.cu", include_str!("../../../kernels/narrow.cu")),
    ("softmax.cu", include_str!("../../../kernels/softmax.cu")),
];

/// The text of a file.
fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|f| f.0 == name).map(|f| f.1)
}

/// A file with its includes in place; `None` where there is no such file.
pub fn source(name: &str) -> Option<String> {
    text(name).map(|t| expand(t, None))
}

/// A skeleton with `pass`, a struct `Pass`, put in place of its sample.
pub fn skeleton(name: &str, pass: &str) -> String {
    expand(text(name).unwrap_or_default(), Some(pass))
}

/// A skeleton with the interpreting pass, over `operators`: what its operator numbers mean.
pub fn interpreting(name: &str, operators: &str) -> String {
    let pass = expand(text("interpreter.cuh").unwrap_or_default(), None);
    // One block per multiprocessor is enough: otherwise the assembler saves registers and spills.
    skeleton(name, &format!("{operators}{pass}")).replace(") pass(", ", 1) pass(")
}

fn expand(text: &str, pass: Option<&str>) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for line in text.lines() {
        let included = line.strip_prefix("#include \"").and_then(|l| l.strip_suffix('"'));
        match (included, pass) {
            (Some("sample.cuh"), Some(pass)) => out.push_str(pass),
            (Some(name), _) => out.push_str(&expand(self::text(name).unwrap_or_default(), pass)),
            (None, _) => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_embedded_and_every_include_found() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
        let mut on_disk: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let mut embedded: Vec<&str> = FILES.iter().map(|f| f.0).collect();
        on_disk.sort();
        embedded.sort_unstable();
        assert_eq!(on_disk, embedded);
        for (name, _) in FILES {
            assert!(!source(name).unwrap().contains("#include"), "{name}");
        }
    }
}
