//! Models on a device, whole, without a GPU: the unchanged binary over stand-ins for driver, compiler and
//! cuBLAS. What a pass hands out is what the CPU hands out, every kernel of the models is run for it, and a
//! device that fails in the middle changes no score.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/lpz_cuda.rs"]
mod lpz_cuda;

use lpz_cuda::{Lpz, stand_ins};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Output;

/// Every field of every site, and the options that change a pass.
const FORWARD: &str = "
proxy linears = sum l in linear { norm(l.input) + norm(l.output) + norm(l.output_grad) + sum(abs(l.weight * l.grad)) }
proxy acts = sum a in act { norm(a.value) + sum(abs(a.value * a.grad)) }
proxy heads = sum h in head { norm(h.value) + sum(abs(h.value * h.grad)) }
proxy maps = sum a in attn { norm(a.value) + sum(abs(a.value * a.grad)) }
proxy softmaxes = sum s in softmax { norm(s.value) }
proxy norms = sum n in norm { norm(n.grad) }
proxy tables = sum e in embed { sum(abs(e.weight * e.grad)) + norm(e.grad) }
proxy places = sum e in pos { norm(e.grad) + sum(abs(e.weight * e.grad)) }
proxy blocks = sum b in block { norm(b.input) + norm(b.output) + norm(b.output_grad) }
@capture(batches = each_sample)
proxy apart = sum l in linear { norm(l.grad) } + sum n in norm { norm(n.grad) }
@capture(batches = each_sample, inputs = noise)
proxy places_apart = sum e in pos { norm(e.grad) }
@capture(params = abs, inputs = noise, objective = projection)
proxy projected = sum l in linear { norm(l.grad) }
";
/// On decoders; the sum of an encoder's output has no gradient.
const FLIPPED: &str = "
@capture(params = abs_buffers, inputs = ones, objective = sum_logits)
proxy flipped = sum l in linear { norm(l.grad) }
";

fn layer(kind: &str, parameter: &str, heads: usize, depth: usize) -> Value {
    json!({"operation_type": kind, "operation_parameter": parameter, "num_operation_heads": heads,
        "feed_forward_dimension": 80, "num_feed_forward": depth})
}

/// One layer of every operation.
fn flexibert() -> Value {
    let layers = [
        layer("SA", "SDP", 4, 1),
        layer("SA", "WMA", 2, 2),
        layer("LT", "DFT", 4, 1),
        layer("LT", "DCT", 2, 1),
        layer("DSC", "5", 4, 1),
    ];
    json!({"family": "flexibert", "vocab_size": 97, "embedding_size": 16, "hidden_size": 64,
        "nas_config": {"encoder_layers": layers}})
}

fn gpt2(depth: usize) -> Value {
    json!({"family": "gpt2", "vocab_size": 197, "n_positions": 64, "n_embd": 64, "n_layer": depth, "n_head": 4})
}

/// Adaptive embedding and softmax in three clusters: of one table, or (`div` 2) of several that are projected.
fn gpt2flex(div: usize) -> Value {
    json!({"family": "gpt2-flex", "n_token": 211, "tgt_len": 64, "n_layer": 3, "n_head": [4, 2, 4],
        "d_model": 64, "d_embed": 48, "d_inner": [128, 96, 160], "cutoffs": [40, 90, 211], "div_val": div,
        "adaptive": true, "tie_weight": true, "tie_projs": [false, true, true], "primer_square": false,
        "activation_function": "relu", "layer_norm_epsilon": 1e-5})
}

/// A folder with a model and programs.
fn lpz(model: &Value) -> Option<Lpz> {
    let lpz = Lpz::new(stand_ins()?);
    let file = |name: &str, text: String| std::fs::write(lpz.folder.path().join(name), text).unwrap();
    file("model.json", model.to_string());
    let flipped = if model["family"] == "flexibert" { "" } else { FLIPPED };
    file("programs.lpz", format!("{FORWARD}{flipped}"));
    Some(lpz)
}

fn run(lpz: &Lpz, device: &str, more: &[&str]) -> Output {
    let fixed = ["run", "programs.lpz", "--model", "model.json", "--json", "--device", device];
    lpz.run(&[&fixed[..], &["--batch", "8", "--seq", "32"], more].concat())
}

fn values(out: &Output) -> Vec<(String, f64)> {
    assert!(out.status.success(), "{}", said(out));
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let one = |s: &Value| (s["name"].as_str().unwrap().to_owned(), s["value"].as_f64().unwrap());
    json["scores"].as_array().unwrap().iter().map(one).collect()
}

fn said(out: &Output) -> String {
    String::from_utf8(out.stderr.clone()).unwrap()
}

/// Relative to what one of the values is.
#[track_caller]
fn close(got: &[(String, f64)], want: &[(String, f64)], rtol: f64) {
    assert_eq!(got.len(), want.len());
    for ((name, g), (_, w)) in got.iter().zip(want) {
        assert!(w.abs() > 0.0 && (g - w).abs() <= rtol * w.abs(), "{name}: {g}, not {w}");
    }
}

/// Launches by kernel; products as `cublas`.
fn launches(out: &Output) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for line in said(out).lines() {
        let mut words = line.split(' ');
        let name = match (words.next(), words.next()) {
            (Some("kernel"), Some(name)) => name.trim_end_matches("_f32"),
            (Some("cublas"), Some("bf16" | "f16")) => "cublas narrow",
            (Some("cublas"), _) => "cublas",
            _ => panic!("{line}"),
        };
        *count.entry(name.to_owned()).or_default() += 1;
    }
    count
}

const EVERYWHERE: &[&str] = &[
    "add",
    "bias_activation",
    "bias_activation_backward",
    "column_sums",
    "cublas",
    "dot_parts",
    "dot_total",
    "embedding",
    "embedding_backward",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_parameters",
    "softmax",
    "softmax_backward",
];

/// Scores as on the CPU, the same bits in every run, by the kernels of `more` and those of every model.
fn on_the_device(model: &Value, more: &[&str]) -> Option<BTreeMap<String, usize>> {
    let lpz = lpz(model)?;
    let want = values(&run(&lpz, "cpu", &[]));
    let first = run(&lpz, "cuda", &["--quiet"]);
    close(&values(&first), &want, 2e-4);
    let traced = lpz.with("FAKECUDA_TRACE", 1);
    let again = run(&traced, "cuda", &[]);
    assert_eq!(values(&first), values(&again));
    let count = launches(&again);
    for kernel in EVERYWHERE.iter().chain(more) {
        assert!(count.contains_key(*kernel), "{kernel} did not run: {count:?}");
    }
    Some(count)
}

#[test]
fn flexibert_on_the_device() {
    let more = ["copy_columns", "depthwise", "dynamic_mix", "dynamic_mix_inputs", "dynamic_mix_kernels"];
    let Some(count) = on_the_device(&flexibert(), &[&more[..], &["multiply", "swap_axes"]].concat()) else {
        return;
    };
    // Four passes: of the data, apart, apart from noise, and projected.
    assert_eq!(count["layer_norm"], 4 * (1 + 2 * 5), "{count:?}");
    // Three layers have attention and one of them a softmax over kernels; those of the transforms are
    // looked at once.
    assert_eq!((count["softmax"], count["softmax_backward"]), (4 * 4 + 2, 4 * 4), "{count:?}");
    // Forward, and back to its input.
    assert_eq!((count["depthwise"], count["swap_axes"]), (2 * 4, 2), "{count:?}");
}

#[test]
fn gpt2_on_the_device() {
    let Some(count) = on_the_device(&gpt2(3), &["cross_entropy", "cross_entropy_backward", "multiply"])
    else {
        return;
    };
    // Five passes, with that of the flipped mask.
    assert_eq!((count["layer_norm"], count["softmax"]), (5 * (1 + 2 * 3), 5 * 3), "{count:?}");
}

#[test]
fn gpt2_with_adaptive_tables_on_the_device() {
    let more = ["cross_entropy", "cross_entropy_backward", "multiply"];
    on_the_device(&gpt2flex(1), &more);
    on_the_device(&gpt2flex(2), &[&more[..], &["scatter"]].concat());
}

#[test]
fn products_in_half_precision() {
    let Some(lpz) = lpz(&gpt2(2)) else { return };
    let want = values(&run(&lpz, "cpu", &[]));
    let refused = run(&lpz, "cpu", &["--precision", "bf16"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("products in half precision need a CUDA device"), "{}", said(&refused));
    let traced = lpz.with("FAKECUDA_TRACE", 1);
    for (precision, kernel) in [("bf16", "narrowed_bf16"), ("f16", "narrowed_f16")] {
        let out = run(&traced, "cuda", &["--precision", precision]);
        let got = values(&out);
        close(&got, &want, 2e-2);
        assert!(got.iter().zip(&want).any(|(g, w)| (g.1 - w.1).abs() > 1e-6 * w.1.abs()), "not narrowed");
        let count = launches(&out);
        assert!(count[kernel] == 2 * count["cublas narrow"] || count[kernel] > 100, "{count:?}");
        assert!(!count.contains_key("cublas"), "{count:?}");
    }
}

/// A launch that fails in the middle of a pass: what was handed out stays, the rest comes from the CPU.
#[test]
fn a_launch_that_fails() {
    for launch in ["layer_norm_backward_f32:3", "softmax_f32:2"] {
        let Some(lpz) = lpz(&gpt2(2)) else { return };
        let want = values(&run(&lpz, "cpu", &[]));
        let failing = lpz.with("FAKECUDA_FAIL", launch);
        let out = run(&failing, "auto", &[]);
        let err = said(&out);
        close(&values(&out), &want, 2e-4);
        assert!(err.contains("models run on the CPU: ") && err.contains("finishing on the CPU: "), "{err}");
        assert_eq!(err.lines().count(), 2, "{err}");
        let out = run(&failing, "cuda", &[]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains("unspecified launch failure"), "{}", said(&out));
    }
}

/// A kernel of the models that does not compile: they run on the CPU, programs on the device.
#[test]
fn a_kernel_that_does_not_compile() {
    let Some(lpz) = lpz(&gpt2(2)) else { return };
    let want = values(&run(&lpz, "cpu", &[]));
    let cache = tempfile::tempdir().unwrap();
    let refusing = lpz.with("FAKECUDA_REFUSE", "void cross_entropy(const T").with("FAKECUDA_TRACE", 1);
    let refusing = refusing.with("LPZ_CACHE_DIR", cache.path().display());
    let out = run(&refusing, "cuda", &[]);
    close(&values(&out), &want, 2e-4);
    let err = said(&out);
    assert!(err.contains("models run on the CPU: a kernel for cross_entropy.cu does not compile"), "{err}");
    assert!(err.contains("kernel pass"), "{err}");
}

/// A device with little memory: passes that do not fit run on the CPU, and that is said once.
#[test]
fn short_memory() {
    let Some(lpz) = lpz(&gpt2(2)) else { return };
    let want = values(&run(&lpz, "cpu", &[]));
    // What kernels cost is measured where there is room for it, and known from then on.
    values(&run(&lpz, "cuda", &[]));
    let short = lpz.with("FAKECUDA_MEMORY", 3_000_000);
    let out = run(&short, "cuda", &[]);
    close(&values(&out), &want, 2e-4);
    let err = said(&out);
    let remark = "device: memory was short: passes of models that did not fit ran on the CPU";
    assert_eq!(err.matches(remark).count(), 1, "{err}");
}

/// Architectures side by side, each with a stream of its own.
#[test]
fn several_threads() {
    let Some(lpz) = lpz(&gpt2(2)) else { return };
    let mut lines = vec![json!({"bench": "some", "default_metric": "loss",
        "metrics": {"loss": {"better": "lower", "unit": "nats"}}, "source": "a test", "licence": "MIT"})];
    for (i, depth) in [2, 3, 2].into_iter().enumerate() {
        lines.push(json!({"id": format!("a{i}"), "family": "gpt2", "config": gpt2(depth),
            "metrics": {"loss": i}}));
    }
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(lpz.folder.path().join("some.jsonl"), text.join("\n")).unwrap();
    let rank = |device: &str, out: &str| {
        let args =
            ["rank", "--bench", "some.jsonl", "--proxy", "std::snip", "std::grad_norm", "--threads", "2"];
        let args =
            [&args[..], &["--batch", "8", "--seq", "32", "--device", device, "--json", "--quiet"]].concat();
        let done = lpz.run(&[&args[..], &["--csv", out]].concat());
        assert!(done.status.success(), "{}", said(&done));
        std::fs::read_to_string(lpz.folder.path().join(out)).unwrap()
    };
    let numbers =
        |text: &str| -> Vec<f64> { text.split([',', '\n']).filter_map(|w| w.parse().ok()).collect() };
    let (cpu, cuda) = (numbers(&rank("cpu", "cpu.csv")), numbers(&rank("cuda", "cuda.csv")));
    assert!(cpu.len() >= 6 && cpu.len() == cuda.len(), "{cpu:?} {cuda:?}");
    for (c, d) in cpu.iter().zip(&cuda) {
        assert!((c - d).abs() <= 2e-4 * c.abs(), "{cuda:?}, not {cpu:?}");
    }
    assert_eq!(numbers(&rank("cuda", "again.csv")), cuda);
}

/// Training: the loss and the gradient of every parameter from the device.
#[test]
fn training() {
    for model in [gpt2(2), gpt2flex(1), gpt2flex(2), flexibert()] {
        let Some(lpz) = lpz(&model) else { return };
        let traced = lpz.with("FAKECUDA_TRACE", 1);
        let losses = |device: &str| -> Vec<f64> {
            let data = ["train", "--model", "model.json", "--synthetic", "--batch", "8", "--seq", "32"];
            let how = ["--steps", "2", "--device", device, "--quiet", "-o", device];
            let done = traced.run(&[&data[..], &how[..]].concat());
            assert!(done.status.success(), "{}", said(&done));
            let count = launches(&done);
            let convolves = device == "cuda" && model["family"] == "flexibert";
            assert_eq!(count.contains_key("cross_entropy_backward"), device == "cuda", "{count:?}");
            assert_eq!(count.contains_key("depthwise_weights"), convolves, "{count:?}");
            let curve = std::fs::read_to_string(traced.folder.path().join(device).join("curve.csv")).unwrap();
            curve.lines().skip(1).flat_map(|l| l.split(',').skip(1)).filter_map(|x| x.parse().ok()).collect()
        };
        let (cpu, cuda) = (losses("cpu"), losses("cuda"));
        assert!(cpu.len() >= 2 && cpu.len() == cuda.len(), "{cpu:?} {cuda:?}");
        for (c, d) in cpu.iter().zip(&cuda) {
            assert!((c - d).abs() <= 2e-4 * c.abs(), "{cuda:?}, not {cpu:?}");
        }
    }
}
