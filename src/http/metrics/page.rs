//! [`MetricsPage`]: families of series, and their text format.

use prometheus::{
    Encoder as _, TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

/// Labels with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The metrics of one scrape.
#[derive(Debug, Default)]
pub struct MetricsPage(Vec<MetricFamily>);

impl MetricsPage {
    /// Adds a counter: a value that only grows.
    pub fn counter(&mut self, name: &str, help: &str, series: Vec<Metric>) {
        self.family(name, help, MetricType::COUNTER, series);
    }

    /// Adds a gauge: a value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, series: Vec<Metric>) {
        self.family(name, help, MetricType::GAUGE, series);
    }

    /// Adds a histogram of durations.
    pub fn histogram(&mut self, name: &str, help: &str, series: Vec<Metric>) {
        self.family(name, help, MetricType::HISTOGRAM, series);
    }

    /// Adds a family. A family without series is left out.
    fn family(&mut self, name: &str, help: &str, kind: MetricType, series: Vec<Metric>) {
        if series.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(series);
        self.0.push(family);
    }

    /// The content type and the text.
    pub fn render(&self) -> Result<(String, Vec<u8>), prometheus::Error> {
        let encoder = TextEncoder::new();
        let mut text = Vec::with_capacity(16 << 10);
        encoder.encode(&self.0, &mut text)?;
        Ok((encoder.format_type().to_owned(), text))
    }
}

/// One series of a counter.
pub fn counter(labels: Labels<'_>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = labeled(labels);
    metric.set_counter(counter);
    metric
}

/// One series of a gauge.
pub fn gauge(labels: Labels<'_>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labeled(labels);
    metric.set_gauge(gauge);
    metric
}

/// One series of a histogram: the cumulative count for each bound, the total count, and the sum in
/// seconds.
pub fn histogram(labels: Labels<'_>, buckets: &[(f64, u64)], count: u64, sum: f64) -> Metric {
    let bucket = |&(bound, count): &(f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.iter().map(bucket).collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    let mut metric = labeled(labels);
    metric.set_histogram(histogram);
    metric
}

/// A number as Prometheus stores it.
#[expect(
    clippy::cast_precision_loss,
    reason = "a float is exact up to 2^53, which is 8 PiB"
)]
pub fn number(value: u64) -> f64 {
    value as f64
}

/// The same for a size in memory.
pub fn size(value: usize) -> f64 {
    number(u64::try_from(value).unwrap_or(u64::MAX))
}

fn labeled(labels: Labels<'_>) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
