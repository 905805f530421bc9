//! CPU-seconds a forecast takes, whatever else the machine does: `cargo run --release -p foundation --example speed [FOLDER]`.
//!
//! Prints forecasts a CPU-second of the model in FOLDER, or of the one in the program, for batches of 64 series of 512
//! points and for a single one.

use std::error::Error;
use std::path::Path;

/// User and system time of this process, in seconds, from the kernel's own figures in hundredths.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = match std::env::args().nth(1) {
        Some(folder) => foundation::load(Path::new(&folder))?,
        None => foundation::embedded()?,
    };
    let card = model.card();
    println!("{} ({}, {} parameters)", card.name, card.layout, card.parameters);
    for (count, length) in [(64usize, 512usize), (64, 64), (1, 512)] {
        let value =
            |at: usize, seed: usize| (at as f64 / (9.0 + seed as f64)).sin() * 5.0 + (at * (seed + 7) % 11) as f64;
        let series: Vec<Vec<f64>> = (0..count).map(|seed| (0..length).map(|at| value(at, seed)).collect()).collect();
        let histories: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        model.forecast(&histories, 64)?;
        let (start, mut forecasts) = (cpu_seconds()?, 0);
        while cpu_seconds()? - start < 2.0 {
            model.forecast(&histories, 64)?;
            forecasts += count;
        }
        let spent = cpu_seconds()? - start;
        println!("{count} series of {length} points: {:.0} a CPU-second", forecasts as f64 / spent);
    }
    Ok(())
}
