//! Writes the samples of one metric after the other.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use authy_core::histogram::HistogramSnapshot;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

/// A sample without labels.
pub(super) const NO_LABELS: [(&str, &str); 0] = [];

/// Writes metrics. A name is written with its unit, and that of a counter with `_total`.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// Writes a counter of things.
    pub(super) fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in samples {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        Ok(())
    }

    /// Writes a counter of time.
    pub(super) fn seconds_total(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&time.as_secs_f64(), None)
    }

    /// Writes a gauge.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a gauge of a number of things, without labels.
    pub(super) fn number(&mut self, name: &str, help: &str, number: usize) -> fmt::Result {
        self.gauge(name, None, help, [(NO_LABELS, number)])
    }

    /// Writes a gauge of a time, without labels; no sample when it is not known.
    pub(super) fn seconds(&mut self, name: &str, help: &str, time: Option<Duration>) -> fmt::Result {
        self.gauge(name, Some(&Unit::Seconds), help, time.map(|time| (NO_LABELS, time.as_secs_f64())))
    }

    /// Writes a point in time, in seconds since 1970; no sample when it is not known.
    pub(super) fn time(&mut self, name: &str, help: &str, time: impl Into<Option<SystemTime>>) -> fmt::Result {
        self.seconds(name, help, time.into().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()))
    }

    /// Writes histograms of times.
    pub(super) fn histogram<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, HistogramSnapshot)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, HistogramSnapshot { buckets, sum }) in samples {
            let count = buckets.iter().map(|(_, count)| count).sum();
            let mut sample = family.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)?;
        }
        Ok(())
    }
}
