//! The kernel's types.

use std::fs;

use aya::{Btf, Endianness};
use aya_obj::btf::BtfKind;

use crate::stopwatch::Stopwatch;
use crate::{Answer, Arguments};

/// KiB of this process in memory: everything, and what no file stands behind.
fn resident() -> (i64, i64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    };
    (of("VmRSS:"), of("RssAnon:"))
}

pub fn find(given: &Arguments) -> Answer {
    let before = resident();
    let took = Stopwatch::start();
    let btf = Btf::parse_file(given.text("path"), Endianness::default())?;
    let id = btf.id_by_type_name_kind(given.text("name"), BtfKind::Struct)?;
    let took = took.stop();
    let after = resident();
    drop(btf);
    Ok(format!(
        r#"{{{}, "rss_kib": {}, "anonymous_kib": {}}}"#,
        took.fields(1, id.into()),
        after.0 - before.0,
        after.1 - before.1
    ))
}
