//! Notes the compiler's version for the report.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").expect("cargo says which compiler");
    let version = Command::new(rustc).arg("--version").output().expect("the compiler runs").stdout;
    println!("cargo::rustc-env=RUSTC_VERSION={}", String::from_utf8_lossy(&version).trim());
}
