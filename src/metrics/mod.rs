//! The registry of metrics and what they are kept in; each role defines and registers its own.

mod family;

pub use family::{Counter, Family, FloatCounter, FloatGauge, Gauge, Number};

use prometheus::{Encoder, Registry, TextEncoder};

/// A fresh registry with the process's own metrics (`process_*`) and `raftgate_build_info`.
///
/// # Errors
/// If a metric is registered twice, which is a defect of the program.
pub fn registry() -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let build = prometheus::IntGaugeVec::new(
        prometheus::Opts::new("raftgate_build_info", "Always 1; the labels say what is running"),
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

/// Everything registered, in the text format that Prometheus reads.
///
/// # Errors
/// If a metric cannot be written in that format, which is a defect of the program.
pub fn render(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out)?;
    Ok(out)
}
