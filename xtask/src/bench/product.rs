//! Whether this machine multiplies so much faster in bf16 that a direct convolution in it could be worth its while.

use anyhow::Result;
use study::numbers::counted;

use super::steps::THREADS;
use super::table::Row;
use super::{Bench, Group, Measured};

pub fn products(bench: &Bench<'_>) -> Result<Measured> {
    let mut measured = Measured::default();
    if !has_bf16() {
        measured.notes.push("A product in bf16: this processor does not have avx512_bf16.".to_owned());
        return Ok(measured);
    }
    for threads in THREADS {
        let (mut single, mut half) = (0.0, 0.0);
        for _ in 0..bench.rounds() {
            single = f64::max(single, bench.ours.product_rate(threads, false, "fp32")?);
            half = f64::max(half, bench.ours.product_rate(threads, false, "bf16")?);
        }
        let threads = counted(threads.into(), "thread");
        bench.say(&format!("a product, {threads}: {single:.0} GFLOP/s in fp32, {half:.0} in bf16"));
        let row = |what: &str, unit: &str, ours: f64| Row {
            ours: Some(ours),
            ..Row::new(Group::Product, format!("product, {what}, {threads}"), unit)
        };
        measured.rows.extend([
            row("fp32", "GFLOP/s", single),
            row("bf16", "GFLOP/s", half),
            row("bf16 / fp32", "", half / single),
        ]);
    }
    Ok(measured)
}

#[cfg(target_arch = "x86_64")]
fn has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16() -> bool {
    false
}
