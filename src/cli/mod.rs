//! The command line: one file per subcommand, thin. Core modules do not print; this one does.
//!
//! Exit codes: 0 done, 1 the answer is "no" (`check`, `fmt --check`, `verify`), 2 bad input or
//! failed, 130 interrupted.

pub mod bench;
mod bench_make;
pub mod capture;
pub mod captures;
pub mod check;
pub mod compare;
pub mod completions;
pub mod devices;
pub mod doc;
mod doc_pages;
pub mod error;
pub mod evolve;
pub mod explain;
pub mod fmt;
mod interrupt;
pub mod lsp;
pub mod model_args;
pub mod output;
pub mod programs;
pub mod rank;
pub mod repl;
pub mod run;
mod say;
pub mod search;
pub mod train;
mod units;
pub mod verify;

use clap::{Args, CommandFactory, Parser, Subcommand};
use error::CliError;
use std::path::PathBuf;
use std::process::ExitCode;

/// Deeply nested programs are parsed and printed recursively within checked limits; this leaves
/// room to spare.
const STACK: usize = 256 << 20;

/// Rank language-model architectures without training them.
#[derive(Parser)]
#[command(name = "lpz", version, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Machine output as JSON, on standard output or into FILE; messages stay on standard error
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// No progress and no remarks
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Worker threads [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Seed of everything random
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where fused passes run: cpu, cuda, cuda:N, or auto (a GPU where there is one)
    #[arg(long, global = true, value_name = "DEVICE", default_value = "cpu", value_parser = model_args::DeviceName::parse)]
    pub device: model_args::DeviceName,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
    Check(check::CheckArgs),
    Devices(devices::DevicesArgs),
    Train(train::TrainArgs),
    Search(search::SearchArgs),
    Run(run::RunArgs),
    Eval(run::EvalArgs),
    Capture(capture::CaptureArgs),
    Rank(rank::RankArgs),
    Repl(repl::ReplArgs),
    Evolve(Box<evolve::EvolveArgs>),
    Verify(verify::VerifyArgs),
    Compare(compare::CompareArgs),
    Completions(completions::CompletionsArgs),
    Doc(doc::DocArgs),
    Explain(Box<explain::ExplainArgs>),
    Fmt(fmt::FmtArgs),
    Lsp(lsp::LspArgs),
}

/// Parses the arguments, runs the command, reports errors.
pub fn main() -> ExitCode {
    let run = || match Cli::try_parse() {
        Ok(cli) => report(dispatch(cli)),
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            let _ = e.print();
            ExitCode::from(code)
        }
    };
    match std::thread::Builder::new().stack_size(STACK).spawn(run).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => ExitCode::from(2),
    }
}

/// Starts the worker threads, of which this one is the first: what it does in parallel begins at once
/// instead of being handed to a sleeping thread. Commands that answer while something computes stay out.
fn start_threads(cli: &Cli) -> Result<(), CliError> {
    let n = cli.global.threads.map_or(0, usize::from);
    let builder = rayon::ThreadPoolBuilder::new().num_threads(n);
    let waits = matches!(cli.command, Command::Repl(_) | Command::Lsp(_));
    let builder = if waits { builder } else { builder.use_current_thread() };
    builder.build_global().map_err(|e| CliError::new(format!("cannot start worker threads: {e}")))
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    if let Some(path) = cli.global.json.as_deref().filter(|p| p.as_os_str() != "-") {
        output::check_writable(path)?;
    }
    cli.global.device.choose(cli.global.quiet);
    start_threads(&cli)?;
    match cli.command {
        Command::Bench(args) => bench::run(args, &cli.global),
        Command::Check(args) => check::run(&args, &cli.global),
        Command::Devices(args) => devices::run(&args, &cli.global),
        Command::Train(args) => train::run(args, &cli.global),
        Command::Search(args) => search::run(args, &cli.global),
        Command::Run(args) => run::run(&args, &cli.global),
        Command::Eval(args) => run::eval(&args, &cli.global),
        Command::Capture(args) => capture::run(&args, &cli.global),
        Command::Rank(args) => rank::run(&args, &cli.global),
        Command::Evolve(args) => evolve::run(&args, &cli.global),
        Command::Verify(args) => verify::run(&args, &cli.global),
        Command::Compare(args) => compare::run(&args, &cli.global),
        Command::Completions(args) => completions::run(&args, &cli.global, Cli::command()),
        Command::Explain(args) => explain::run(&args, &cli.global),
        Command::Repl(args) => repl::run(args, &cli.global),
        Command::Doc(args) => doc::run(&args, &cli.global, Cli::command()),
        Command::Lsp(args) => lsp::run(&args, &cli.global),
        Command::Fmt(args) => fmt::run(&args, &cli.global),
    }
}

/// Worker threads: `--threads`, or all cores.
pub fn workers(global: &Global) -> usize {
    global.threads.map_or_else(rayon::current_num_threads, usize::from)
}

fn report(result: Result<ExitCode, CliError>) -> ExitCode {
    result.unwrap_or_else(|e| {
        e.print();
        ExitCode::from(e.code())
    })
}
