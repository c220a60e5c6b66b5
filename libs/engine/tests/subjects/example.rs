//! Finds the examples of this crate as programs, next to the test that runs.

use std::path::PathBuf;
use std::process::Command;

pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = target.join("examples").join(name);
    if !program.exists() {
        // `cargo test --test …` alone builds no examples.
        let built = Command::new(env!("CARGO"))
            .args(["build", "-p", env!("CARGO_PKG_NAME"), "--example", name])
            .status()
            .unwrap();
        assert!(built.success() && program.exists(), "{} is not there", program.display());
    }
    program
}
