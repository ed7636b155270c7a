//! `beacon-web-bindgen INPUT.wasm FOLDER NAME`: writes `NAME.js`, `NAME_bg.wasm` and `NAME.d.ts`
//! into the folder, and prints how large the WebAssembly is.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder, name] = args.as_slice() else {
        eprintln!("error: expected INPUT.wasm FOLDER NAME");
        return ExitCode::from(2);
    };
    match generate(Path::new(input), Path::new(folder), name) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn generate(input: &Path, folder: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    Bindgen::new()
        .input_path(input)
        .out_name(name)
        .web(true)?
        .typescript(true)
        // So that the module finds its WebAssembly beside itself.
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    let wasm = std::fs::read(folder.join(format!("{name}_bg.wasm")))?;
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    zip.write_all(&wasm)?;
    let zipped = zip.finish()?.len();
    Ok(format!("{name}_bg.wasm: {} bytes, {zipped} gzipped", wasm.len()))
}
