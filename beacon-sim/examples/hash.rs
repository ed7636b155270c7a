//! Prints the hash of a small run: the same on every platform, in every build. `cargo xtask ci --only
//! wasm` runs it natively and as WebAssembly and compares.

use beacon_sim::plan::Plan;
use beacon_sim::world;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::parse(include_str!("../plans/tiny.toml"))?;
    let report = world::run(&plan, plan.seed, |_, _| {})?;
    println!("{}", report.hash);
    Ok(())
}
