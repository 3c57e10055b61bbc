//! `lpz --device cuda`, whole, without a GPU: the unchanged binary over stand-ins for the driver and
//! the compiler (`tests/support/cudaemu/driver`), which run kernels in emulation. What the device
//! code asks of the driver is thereby run: contexts, streams and their order, memory, modules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

#[path = "support/lpz_cuda.rs"]
mod lpz_cuda;

use lpz_cuda::stand_ins;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;

const TINY: &str = r#"{"family": "flexibert", "vocab_size": 97, "embedding_size": 16, "hidden_size": 24,
    "nas_config": {"encoder_layers": [{"operation_type": "SA", "operation_parameter": "SDP",
    "num_operation_heads": 2, "feed_forward_dimension": 40, "num_feed_forward": 1}]}}"#;

/// With the models of these tests.
struct Lpz(lpz_cuda::Lpz);

impl Deref for Lpz {
    type Target = lpz_cuda::Lpz;
    fn deref(&self) -> &lpz_cuda::Lpz {
        &self.0
    }
}

impl Lpz {
    fn new(libraries: &Path) -> Self {
        let lpz = lpz_cuda::Lpz::new(libraries);
        std::fs::write(lpz.folder.path().join("tiny.json"), TINY).unwrap();
        let wide = TINY.replace("24", "192").replace("40", "512");
        std::fs::write(lpz.folder.path().join("wide.json"), wide).unwrap();
        Lpz(lpz)
    }
    fn with(self, name: &'static str, value: impl ToString) -> Self {
        Lpz(self.0.with(name, value))
    }
    /// Scores, after a run that succeeds; and what was said on standard error.
    fn scores(&self, programs: &[&str], device: &str) -> (Vec<f64>, String) {
        let fixed = [
            "--model",
            "tiny.json",
            "--batch",
            "2",
            "--seq",
            "8",
            "--threads",
            "2",
            "--json",
            "--device",
            device,
        ];
        let out = self.run(&[&["run"], programs, &fixed[..]].concat());
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{err}");
        let json: Value = serde_json::from_slice(&out.stdout).unwrap();
        let score = |s: &Value| s["score"].as_f64().or(s["value"].as_f64()).unwrap_or(f64::NAN);
        (json["scores"].as_array().unwrap().iter().map(score).collect(), err)
    }
    /// What is said when a run on the device is refused.
    fn refusal(&self, programs: &[&str], device: &str) -> String {
        let out = self.run(
            &[
                &["run"],
                programs,
                &["--model", "tiny.json", "--batch", "2", "--seq", "8", "--device", device],
            ]
            .concat(),
        );
        let err = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{err}");
        assert!(!err.contains("panicked") && err.lines().count() < 25, "{err}");
        err
    }
}

const PROGRAMS: [&str; 4] = ["std::snip", "std::synflow", "std::grad_norm", "std::fisher"];

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs())
}

#[test]
fn the_device_gives_the_scores_of_the_cpu() {
    let Some(libraries) = stand_ins() else { return };
    let lpz = Lpz::new(libraries);
    let found = String::from_utf8(lpz.run(&["devices"]).stdout).unwrap();
    assert!(found.contains("cuda:0   Emulated") && found.contains("sm_90"), "{found}");
    let (cpu, _) = lpz.scores(&PROGRAMS, "cpu");
    assert!(cpu.iter().all(|x| x.is_finite() && *x != 0.0), "{cpu:?}");
    for device in ["cuda", "cuda:0", "auto"] {
        let (cuda, err) = lpz.scores(&PROGRAMS, device);
        assert!(close(&cuda, &cpu), "{device}: {cuda:?}, not {cpu:?}");
        assert!(err.is_empty(), "{err}");
    }
}

#[test]
fn a_device_or_driver_that_is_not_there() {
    let Some(libraries) = stand_ins() else { return };
    let lpz = Lpz::new(libraries);
    assert!(lpz.refusal(&PROGRAMS, "cuda:3").contains("there is no device 3, only 1"));
    assert!(lpz.refusal(&PROGRAMS, "gpu").contains("use --device cpu, cuda, cuda:N or auto"));
    let old = Lpz::new(libraries).with("FAKECUDA_VERSION", 11040);
    let said = old.refusal(&PROGRAMS, "cuda");
    assert!(
        said.contains("it is for CUDA 11.4, 12.0 is needed") && said.contains("update the NVIDIA driver")
    );
    assert!(old.scores(&PROGRAMS, "auto").0.iter().all(|x| x.is_finite()));
    let bare = tempfile::tempdir().unwrap();
    let none = Lpz::new(bare.path());
    let found = String::from_utf8(none.run(&["devices"]).stdout).unwrap();
    if found.contains("install the NVIDIA driver") {
        let said = none.refusal(&PROGRAMS, "cuda");
        assert!(said.contains("the NVIDIA driver (libcuda) is not there"), "{said}");
        assert!(none.scores(&PROGRAMS, "auto").0.iter().all(|x| x.is_finite()));
    }
    if found.contains("LPZ_NVRTC") {
        std::fs::copy(libraries.join("libcuda.so"), bare.path().join("libcuda.so")).unwrap();
        let said = none.refusal(&PROGRAMS, "cuda");
        assert!(said.contains("the CUDA compiler (libnvrtc) is not there") && said.contains("LPZ_NVRTC"));
    }
}

#[test]
fn short_memory() {
    let Some(libraries) = stand_ins() else { return };
    let lpz = |bytes: usize| Lpz::new(libraries).with("FAKECUDA_MEMORY", bytes);
    let (cpu, _) = lpz(0).scores(&PROGRAMS, "cpu");
    // The costs of kernels are known from here on: measuring them takes more memory than the tiny model.
    lpz(1 << 30).scores(&PROGRAMS, "cuda");
    let eight =
        |e: &str| (1..9).flat_map(|i| ["-e".into(), e.replace('#', &i.to_string())]).collect::<Vec<String>>();
    let eight = eight("sum l in linear { norm(l.weight * l.grad * #) }");
    let eight: Vec<&str> = eight.iter().map(String::as_str).collect();
    let (halved, err) = lpz(200_000).scores(&eight, "cuda");
    assert!(err.contains("batches of programs were halved"), "{err}");
    assert!(close(&halved, &lpz(0).scores(&eight, "cpu").0));
    let said = lpz(1000).refusal(&PROGRAMS, "cuda");
    assert!(said.contains("the device has no room for") && said.contains("--device cpu"), "{said}");
    let (finished, err) = lpz(1000).scores(&PROGRAMS, "auto");
    assert!(finished == cpu && err.contains("device: finishing on the CPU: "), "{err}");
}

#[test]
fn a_kernel_that_does_not_compile() {
    let Some(libraries) = stand_ins() else { return };
    let cache = tempfile::tempdir().unwrap();
    let lpz = || {
        let refusing = Lpz::new(libraries).with("FAKECUDA_REFUSE", "push_norm(double");
        refusing.with("LPZ_CACHE_DIR", cache.path().display())
    };
    let programs = ["-e", "sum l in linear { norm(l.weight) + 1 }"];
    let said = lpz().refusal(&programs, "cuda");
    for part in ["does not compile", "refused by the test", "line ", "push_norm", "ending in [", "(program "]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (auto, err) = lpz().scores(&programs, "auto");
    assert!(auto == lpz().scores(&programs, "cpu").0 && err.contains("finishing on the CPU"), "{err}");
}

/// Passes in double precision run on the CPU, but for their large products.
#[test]
fn large_products_of_a_model_run_on_the_device() {
    let Some(libraries) = stand_ins() else { return };
    let lpz = Lpz::new(libraries).with("FAKECUDA_TRACE", 1);
    let run = |device: &str| {
        let model = ["--model", "wide.json", "--batch", "4", "--seq", "64", "--precision", "f64"];
        let programs = ["run", "std::snip", "std::grad_norm", "--json", "--device", device];
        let out = lpz.run(&[&programs[..], &model[..]].concat());
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{err}");
        let json: Value = serde_json::from_slice(&out.stdout).unwrap();
        let value = |s: &Value| s["value"].as_f64().unwrap();
        (json["scores"].as_array().unwrap().iter().map(value).collect::<Vec<f64>>(), err)
    };
    let ((cpu, quiet), (cuda, traced)) = (run("cpu"), run("cuda"));
    assert_eq!(quiet, "");
    // Forward, the gradient of the weight and that of the input of both feed-forward layers.
    let (products, kernels): (BTreeSet<&str>, BTreeSet<&str>) =
        traced.lines().partition(|l| l.starts_with("cublas "));
    assert!(products.len() >= 6, "{traced}");
    assert!(kernels.iter().all(|k| k.starts_with("kernel pass")), "{kernels:?}");
    for (a, e) in cuda.iter().zip(&cpu) {
        assert!((a - e).abs() <= 1e-10 * e.abs(), "{cuda:?}, not {cpu:?}");
    }
}

#[test]
fn without_cublas_models_run_on_the_cpu() {
    let Some(libraries) = stand_ins() else { return };
    let bare = tempfile::tempdir().unwrap();
    for name in ["libcuda.so", "libnvrtc.so"] {
        std::fs::copy(libraries.join(name), bare.path().join(name)).unwrap();
    }
    let lpz = Lpz::new(bare.path());
    if String::from_utf8(lpz.run(&["devices"]).stdout).unwrap().contains("nvidia-cublas-cu12") {
        let (scores, err) = lpz.scores(&PROGRAMS, "cuda");
        assert!(
            scores.iter().all(|x| x.is_finite()) && err.contains("cuBLAS (libcublas) is not there"),
            "{err}"
        );
    }
}
