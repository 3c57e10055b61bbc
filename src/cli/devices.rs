//! `lpz devices`: which engines this machine can run, and what is missing for the others.

use super::Global;
use super::error::CliError;
use super::output;
use crate::engine::cuda::CudaError;
use crate::engine::cuda::probe::{Probe, probe};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Show the devices that programs can run on, and what is missing for others
#[derive(clap::Args)]
pub struct DevicesArgs {}

/// Runs the command.
///
/// # Errors
/// When the output cannot be written.
pub fn run(_: &DevicesArgs, global: &Global) -> Result<ExitCode, CliError> {
    let found = probe();
    if !output::json(global, &as_json(&found))? {
        output::print(&as_text(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn as_json(p: &Probe) -> Value {
    let missing = |e: &CudaError| json!({"missing": e.to_string(), "help": e.help()});
    let devices: Vec<Value> = p
        .devices
        .iter()
        .flatten()
        .map(|d| {
            json!({"name": format!("cuda:{}", d.ordinal), "card": d.name, "arch": d.arch(), "bytes": d.memory})
        })
        .collect();
    json!({
        "cpu": {"threads": threads()},
        "cuda": {
            "ready": ready(p),
            "driver": p.driver.as_ref().map_or_else(missing, |v| json!({"version": v})),
            "nvrtc": p.nvrtc.as_ref().map_or_else(missing, |(a, b)| json!({"version": format!("{a}.{b}")})),
            "cublas": p.cublas.as_ref().map_or_else(missing, |()| json!({})),
            "devices": devices,
        },
    })
}

fn ready(p: &Probe) -> bool {
    p.nvrtc.is_ok() && p.devices.as_ref().is_ok_and(|d| !d.is_empty())
}

fn as_text(p: &Probe) -> String {
    let mut text = format!("cpu      {} threads\n", threads());
    match &p.devices {
        Ok(all) => {
            for d in all {
                let (gib, arch) = (d.memory as f64 / (1u64 << 30) as f64, d.arch());
                text += &format!("cuda:{}   {}, {gib:.0} GiB, {arch}\n", d.ordinal, d.name);
            }
            if all.is_empty() {
                text += "cuda     no device\n";
            }
        }
        Err(e) => text += &format!("cuda     not available: {e}\n"),
    }
    let driver = p.driver.as_ref().map(|v| format!("CUDA {}.{}", v / 1000, v % 1000 / 10));
    let nvrtc = p.nvrtc.as_ref().map(|(a, b)| format!("{a}.{b}"));
    let cublas = p.cublas.as_ref().map(|()| "found".to_owned());
    for (name, found) in [("driver", driver), ("NVRTC", nvrtc), ("cuBLAS", cublas)] {
        match found {
            Ok(version) => text += &format!("  {name:7}{version}\n"),
            Err(e) => text += &format!("  {name:7}missing: {}\n", e.help()),
        }
    }
    text
}
