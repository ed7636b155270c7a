//! What the dashboard draws with: packages of npm, pinned in beacon-web/charts, copied beside the pages.

use std::fs;
use std::path::Path;

use crate::process::{program, root, run, succeeds};

/// The packages with their own dependencies, in the order in which a page loads them: file in the package, and its name
/// beside the pages.
const FILES: &[(&str, &str, &str)] = &[
    ("d3-dispatch", "dist/d3-dispatch.min.js", "d3-dispatch.js"),
    ("d3-quadtree", "dist/d3-quadtree.min.js", "d3-quadtree.js"),
    ("d3-timer", "dist/d3-timer.min.js", "d3-timer.js"),
    ("d3-force", "dist/d3-force.min.js", "d3-force.js"),
    ("uplot", "dist/uPlot.esm.js", "uplot.js"),
    ("uplot", "dist/uPlot.min.css", "uplot.css"),
];

/// Copies the files and their licences into `folder`, if npm can have them; says in a sentence why not otherwise. The
/// pages work without: the dashboard shows tables and says what is missing.
pub(crate) fn into(folder: &Path) -> Result<(), String> {
    let home = root().join("beacon-web/charts");
    install(&home).map_err(|cause| format!("the dashboard has no charts: {cause}"))?;
    copy(&home.join("node_modules"), folder)
}

/// `npm ci`, unless what is there is what the lock file says.
fn install(home: &Path) -> Result<(), String> {
    let changed = |file: &str| fs::metadata(home.join(file)).and_then(|file| file.modified()).ok();
    let (wanted, there) =
        (changed("package-lock.json"), changed("node_modules/.package-lock.json"));
    if there.is_some() && there >= wanted {
        return Ok(());
    }
    if !succeeds(&mut program("npm", &["--version"])) {
        return Err("npm is missing; install Node.js with npm, and build again".to_owned());
    }
    // Without a network it gives up within seconds.
    let quick = [
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        "--fetch-retries=0",
        "--fetch-timeout=20000",
    ];
    let mut npm = program("npm", &["ci"]);
    run(npm.args(quick).current_dir(home))
}

fn copy(packages: &Path, folder: &Path) -> Result<(), String> {
    let failed =
        |error: std::io::Error| format!("the dashboard's charts cannot be copied: {error}");
    fs::create_dir_all(folder).map_err(failed)?;
    let mut licences = String::new();
    let mut last = "";
    for &(package, file, name) in FILES {
        fs::copy(packages.join(package).join(file), folder.join(name)).map_err(failed)?;
        if package != last {
            let licence =
                fs::read_to_string(packages.join(package).join("LICENSE")).map_err(failed)?;
            licences.push_str(&format!("{package}\n\n{}\n\n\n", licence.trim()));
            last = package;
        }
    }
    fs::write(folder.join("licences.txt"), licences).map_err(failed)
}
