//! Object files.

use std::error::Error;
use std::fs;

use aya::EbpfLoader;
use aya::programs::Program;
use aya_obj::Object;

use crate::stopwatch::Stopwatch;
use crate::{Answer, Arguments};

pub fn open(given: &Arguments) -> Answer {
    let repeat = given.number("repeat");
    let mut programs = 0;
    let took = Stopwatch::start();
    for _ in 0..repeat {
        programs += Object::parse(&fs::read(given.text("path"))?)?.programs.len() as u64;
    }
    Ok(took.stop().answer(repeat, programs / repeat))
}

/// `EbpfLoader::new` parses the kernel's BTF for each object anew: it is always cold.
pub fn load(given: &Arguments) -> Answer {
    let took = Stopwatch::start();
    let mut object = EbpfLoader::new().load_file(given.text("path"))?;
    let mut programs = 0;
    for (_, program) in object.programs_mut() {
        load_program(program)?;
        programs += 1;
    }
    Ok(took.stop().answer(1, programs))
}

/// aya keeps to itself what a section says about where to attach, so types that are loaded for a target are left out.
fn load_program(program: &mut Program) -> Result<(), Box<dyn Error>> {
    match program {
        Program::KProbe(program) => program.load()?,
        Program::UProbe(program) => program.load()?,
        Program::TracePoint(program) => program.load()?,
        Program::RawTracePoint(program) => program.load()?,
        Program::PerfEvent(program) => program.load()?,
        Program::SocketFilter(program) => program.load()?,
        Program::Xdp(program) => program.load()?,
        Program::SchedClassifier(program) => program.load()?,
        other => return Err(format!("{:?} programs are loaded for a target", other.prog_type()).into()),
    }
    Ok(())
}
