//! Measures what Beacon costs and how long it takes, on this machine.

#[cfg(target_os = "linux")]
mod program {
    use beacon_examples::finish;
    use beacon_examples::measure::{chain, crowd, relay};
    use clap::{Parser, Subcommand};

    /// Measures what Beacon costs and how long it takes, on this machine.
    ///
    /// Use an optimised build, and build everything: cargo build --release --bins, then
    /// target/release/measure chain. Each measurement prints a table and exits with 1 when
    /// something was missed; times and costs fail nothing, since they are the machine's as well.
    /// On a busy machine look at ratios rather than at times: the load is printed with them.
    #[derive(Debug, Parser)]
    #[command(version, about, long_about, after_help = beacon_examples::args::AFTER_HELP)]
    struct Args {
        #[command(subcommand)]
        measurement: Measurement,
    }

    #[derive(Debug, Subcommand)]
    enum Measurement {
        Chain(chain::Args),
        Crowd(crowd::Args),
        Relay(relay::Args),
        #[command(hide = true)]
        Copier(relay::CopierArgs),
    }

    pub(super) fn main() -> std::process::ExitCode {
        match Args::parse().measurement {
            Measurement::Chain(args) => finish::main(chain::run(args)),
            Measurement::Crowd(args) => finish::main(crowd::run(args)),
            Measurement::Relay(args) => finish::main(relay::run(args)),
            // As a viewer does.
            Measurement::Copier(args) => finish::main_on_one_thread(relay::copy(args)),
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("error: CPU time and memory are read from /proc; run this on Linux");
    std::process::ExitCode::FAILURE
}
