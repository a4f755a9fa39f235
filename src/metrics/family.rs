//! Numbers that are told apart by labels.
//!
//! The library's own vectors keep a copy of their name, their help and their labels' names with each number, about 600
//! bytes. A cluster has some 70 numbers, and a gate may have a thousand clusters.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Atomic, AtomicF64, AtomicI64, AtomicU64, Collector, Desc, Number as _};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};

/// A whole number that only grows.
pub type Counter = Number<AtomicU64>;
/// A whole number.
pub type Gauge = Number<AtomicI64>;
/// A number that only grows.
pub type FloatCounter = Number<AtomicF64>;
/// A number.
pub type FloatGauge = Number<AtomicF64>;

/// One number, as cheap to change as an atomic variable is. Clones are the same number.
pub struct Number<A>(Arc<A>);

/// Numbers of one name, by labels. Clones are the same family.
pub struct Family<A>(Arc<Shared<A>>);

struct Shared<A> {
    desc: Desc,
    kind: MetricType,
    /// Whether a number goes that nobody can change any more.
    while_used: AtomicBool,
    /// By the labels' values, each with its length before it.
    numbers: Mutex<BTreeMap<Box<[u8]>, Number<A>>>,
}

impl<A: Atomic + 'static> Family<A> {
    /// Defines and registers numbers that only grow.
    ///
    /// # Errors
    /// If the name is taken or not a name, which is a defect of the program.
    pub fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::register(registry, MetricType::COUNTER, name, help, labels)
    }

    /// Defines and registers numbers that go up and down.
    ///
    /// # Errors
    /// If the name is taken or not a name, which is a defect of the program.
    pub fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<Self, Error> {
        Self::register(registry, MetricType::GAUGE, name, help, labels)
    }

    fn register(
        registry: &Registry,
        kind: MetricType,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Self, Error> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())?;
        let family = Family(Arc::new(Shared {
            desc,
            kind,
            while_used: AtomicBool::new(false),
            numbers: Mutex::default(),
        }));
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// The same, but each number is shown only while somebody has it in hand: whoever is the last to let it go need not
    /// know that he is.
    #[must_use]
    pub fn shown_while_used(self) -> Self {
        self.0.while_used.store(true, Ordering::Relaxed);
        self
    }

    /// The number with these values of the labels, in their order; it is shown from now on.
    pub fn with(&self, values: &[&str]) -> Number<A> {
        debug_assert_eq!(values.len(), self.0.desc.variable_labels.len(), "of {}", self.0.desc.fq_name);
        let number = || Number(Arc::new(A::new(A::T::from_i64(0))));
        self.numbers().entry(packed(values)).or_insert_with(number).clone()
    }

    /// What all of them come to.
    pub fn sum(&self) -> A::T {
        let mut sum = A::T::from_i64(0);
        for number in self.numbers().values() {
            sum += number.get();
        }
        sum
    }

    /// What those come to whose labels' values begin with these; nothing is shown that was not before.
    pub fn sum_of(&self, first: &[&str]) -> A::T {
        let first = packed(first);
        let numbers = self.numbers();
        let from = numbers.range::<[u8], _>((Bound::Included(&*first), Bound::Unbounded));
        let mut sum = A::T::from_i64(0);
        for (_, number) in from.take_while(|(values, _)| values.starts_with(&first)) {
            sum += number.get();
        }
        sum
    }

    /// Shows those no more whose labels' values begin with these. Whoever has such a number goes on with it by himself.
    pub fn forget(&self, first: &[&str]) {
        let first = packed(first);
        self.numbers().retain(|values, _| !values.starts_with(&first));
    }

    fn numbers(&self) -> MutexGuard<'_, BTreeMap<Box<[u8]>, Number<A>>> {
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, values: &[u8], number: &Number<A>) -> Metric {
        let labels = self.0.desc.variable_labels.iter().zip(unpacked(values));
        let pairs = labels.map(|(label, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.clone());
            pair.set_value(value);
            pair
        });
        let mut pairs: Vec<LabelPair> = pairs.collect();
        // The text has them by name, as the library's own.
        pairs.sort();
        let mut metric = Metric::from_label(pairs);
        let value = number.get().into_f64();
        if self.0.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

impl<A: Atomic + 'static> Collector for Family<A> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut numbers = self.numbers();
        if self.0.while_used.load(Ordering::Relaxed) {
            // Who wants it again finds it by its labels, for which it takes the lock that is held here.
            numbers.retain(|_, number| Arc::strong_count(&number.0) > 1);
        }
        let metrics = numbers.iter().map(|(values, number)| self.shown(values, number)).collect();
        drop(numbers);
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(self.0.kind);
        family.set_metric(metrics);
        vec![family]
    }
}

/// Texts one after the other, each with its length before it: one allocation for all.
fn packed(values: &[&str]) -> Box<[u8]> {
    let mut packed = Vec::with_capacity(values.iter().map(|value| 4 + value.len()).sum());
    for value in values {
        packed.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        packed.extend(value.as_bytes());
    }
    packed.into_boxed_slice()
}

fn unpacked(mut packed: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (value, rest) = rest.split_at(length.min(rest.len()));
        values.push(String::from_utf8_lossy(value).into_owned());
        packed = rest;
    }
    values
}

impl<A: Atomic> Number<A> {
    /// Adds one.
    pub fn inc(&self) {
        self.inc_by(A::T::from_i64(1));
    }

    /// Adds so many.
    pub fn inc_by(&self, more: A::T) {
        self.0.inc_by(more);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.0.dec_by(A::T::from_i64(1));
    }

    /// Puts this in its place.
    pub fn set(&self, value: A::T) {
        self.0.set(value);
    }

    /// What it is.
    pub fn get(&self) -> A::T {
        self.0.get()
    }
}

impl<A> Clone for Number<A> {
    fn clone(&self) -> Self {
        Number(Arc::clone(&self.0))
    }
}

impl<A> Clone for Family<A> {
    fn clone(&self) -> Self {
        Family(Arc::clone(&self.0))
    }
}

impl<A: Atomic> fmt::Debug for Number<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get().into_f64())
    }
}

impl<A> fmt::Debug for Family<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.desc.fq_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_reads_as_the_librarys_own_does() {
        let (ours, theirs) = (Registry::new(), Registry::new());
        let family = Family::<AtomicU64>::counters(&ours, "n_total", "What.", &["z", "a"]).unwrap();
        let options = prometheus::Opts::new("n_total", "What.");
        let vector = prometheus::IntCounterVec::new(options, &["z", "a"]).unwrap();
        theirs.register(Box::new(vector.clone())).unwrap();
        for (count, values) in [["x", "y"], ["", "\n\"\\"], ["y", "x"], ["x", "y"]].iter().enumerate() {
            family.with(values).inc_by(count as u64);
            vector.with_label_values(values).inc_by(count as u64);
        }
        let text = crate::metrics::render(&ours).unwrap();
        assert_eq!(text, crate::metrics::render(&theirs).unwrap());
        assert_eq!((family.sum(), String::from_utf8(text).unwrap().lines().count()), (6, 5));
    }

    #[test]
    fn values_that_read_the_same_one_after_the_other_are_told_apart() {
        let family = Family::<AtomicU64>::counters(&Registry::new(), "n", "What.", &["a", "b"]).unwrap();
        family.with(&["x", "y"]).inc();
        assert_eq!((family.with(&["xy", ""]).get(), family.with(&["", "xy"]).get()), (0, 0));
    }

    #[test]
    fn a_sum_over_what_begins_alike_has_all_of_it_and_nothing_else() {
        let family = Family::<AtomicU64>::counters(&Registry::new(), "n", "What.", &["a", "b"]).unwrap();
        for (count, values) in [(1, ["x", "p"]), (2, ["x", "q"]), (4, ["xp", ""]), (8, ["y", "p"])] {
            family.with(&values).inc_by(count);
        }
        assert_eq!((family.sum_of(&["x"]), family.sum_of(&["x", "q"])), (3, 2));
        assert_eq!((family.sum_of(&["z"]), family.sum_of(&[]), family.sum()), (0, 15, 15));
    }

    #[test]
    fn a_number_that_is_shown_while_used_goes_with_the_last_who_has_it() {
        let registry = Registry::new();
        let family = Family::<AtomicI64>::gauges(&registry, "level", "How high.", &["tank"]).unwrap();
        let family = family.shown_while_used();
        let shows =
            || String::from_utf8(crate::metrics::render(&registry).unwrap()).unwrap().contains("level{");
        let (first, second) = (family.with(&["one"]), family.with(&["one"]));
        first.inc();
        drop(first);
        assert!(shows());
        assert_eq!(second.get(), 1);
        drop(second);
        assert!(!shows());
        assert_eq!(family.with(&["one"]).get(), 0, "it begins anew");
    }

    #[test]
    fn a_number_is_shown_from_the_start_and_shared_by_all_who_ask_for_it() {
        let registry = Registry::new();
        let family = Family::<AtomicF64>::gauges(&registry, "level", "How high.", &["tank"]).unwrap();
        let level = family.with(&["one"]);
        let text = || String::from_utf8(crate::metrics::render(&registry).unwrap()).unwrap();
        assert!(text().ends_with("# TYPE level gauge\nlevel{tank=\"one\"} 0\n"), "{}", text());
        family.with(&["one"]).set(2.5);
        level.dec();
        assert!(text().contains("level{tank=\"one\"} 1.5\n"), "{}", text());
        assert!(Family::<AtomicF64>::gauges(&registry, "level", "How high.", &["tank"]).is_err());
    }
}
