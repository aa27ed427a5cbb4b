//! The commands. Each module is one of them: its flags, the call into the library, what is printed.
//!
//! Results go to stdout (with `--json` as one JSON document), everything else to stderr. Exit codes: 0 done, 1 failed,
//! 2 usage, 3 bad input file, 4 device, 130 interrupted.

mod attack;
mod compare;
mod data_fetch;
mod demo;
mod device;
mod devices;
mod eval;
mod inspect;
mod interrupt;
mod making;
mod merge;
mod network;
mod output;
mod progress;
mod report;
mod retrain;
mod score;
mod source;
mod study;
mod sweep;
mod terminal;
mod train;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use output::{Output, note};
use std::process::ExitCode;
use synfilter::Result;
use synfilter::backend::cpu::simd::Level;
use synfilter::watch::Watch;
use terminal::TERMINAL;
use tracing_subscriber::filter::LevelFilter;

/// What `--help` says below the flags.
const ENVIRONMENT: &str = "Environment:
  SYNFILTER_SIMD  Instruction set of the CPU's kernels: portable, avx2 or avx512; the best that the machine has if left out";

/// Which weights of a trained network are fragile, robust or antifragile: synaptic filtering as a fast engine.
#[derive(Parser)]
#[command(name = "synfilter", version, about, max_term_width = 110, after_help = ENVIRONMENT)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Args)]
struct Global {
    /// Print one JSON document to stdout in the place of text.
    #[arg(long, global = true)]
    json: bool,
    /// Tell more on stderr (-vv: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Train, sweep, score and report on the embedded digits: the whole path in two minutes.
    Demo(demo::Args),
    /// Train a network and keep checkpoints.
    Train(train::Args),
    /// What is in a checkpoint file, which networks it holds, and what would be taken.
    Inspect(inspect::Args),
    /// Accuracy of a checkpoint on clean images and under FGSM.
    Eval(eval::Args),
    /// Security curves: accuracy of checkpoints against ε, under FGSM and PGD.
    Attack(attack::Args),
    /// Measure every filter at every threshold on every layer of a checkpoint.
    Sweep(sweep::Args),
    /// Scores and labels of finished sweeps.
    Score(score::Args),
    /// Which layers keep their label over epochs, data sets, architectures and seeds.
    Compare(compare::Args),
    /// Train a checkpoint on with its fragile layers frozen, beside controls, and compare accuracy.
    Retrain(retrain::Args),
    /// Curves, heat maps, tables and provenance of results, as one HTML file.
    Report(report::Args),
    /// Everything that a study file describes, from training to the report, step by step.
    Study(study::Args),
    /// Data sets.
    #[command(subcommand)]
    Data(Data),
    /// Join the runs of several shards into one.
    Merge(merge::Args),
    /// What this program can compute on here.
    Devices,
}

#[derive(Subcommand)]
enum Data {
    /// Download the official files of a data set, check and unpack them.
    Fetch(data_fetch::Args),
}

/// Runs the program; the result is the exit code of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    log_to_stderr(cli.global.verbose);
    let output = Output { json: cli.global.json };
    match interrupt::install().and_then(|()| run(cli.command, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What showed progress goes first.
            TERMINAL.ends();
            note(&format!("synfilter: {}", one_line(&error.to_string())));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command, output: Output) -> Result<()> {
    Level::asked()?;
    match command {
        Command::Demo(args) => demo::run(&args, output),
        Command::Train(args) => train::run(&args, output),
        Command::Inspect(args) => inspect::run(&args, output),
        Command::Eval(args) => eval::run(&args, output),
        Command::Attack(args) => attack::run(&args, output),
        Command::Sweep(args) => sweep::run(&args, output),
        Command::Score(args) => score::run(&args, output),
        Command::Compare(args) => compare::run(&args, output),
        Command::Retrain(args) => retrain::run(&args, output),
        Command::Report(args) => report::run(&args, output),
        Command::Study(args) => study::run(&args, output),
        Command::Data(Data::Fetch(args)) => data_fetch::run(&args, output),
        Command::Merge(args) => merge::run(&args, output),
        Command::Devices => devices::run(output),
    }
}

/// Help and version go to stdout; a refusal becomes one line on stderr.
fn refused(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::print(&error.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(error.exit_code()),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            note(error.to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            // The first paragraph says what is wrong; usage and tips follow after an empty line.
            let paragraph: String =
                text.lines().take_while(|line| !line.trim().is_empty()).fold(String::new(), |all, line| {
                    if all.is_empty() { line.to_owned() } else { all + " " + line.trim() }
                });
            note(&format!("synfilter: {}", paragraph.strip_prefix("error: ").unwrap_or(&paragraph)));
            ExitCode::from(2)
        }
    }
}

/// Text of an error on one line, whatever a file name or a file's content brought into it.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}
