//! Numbers as people read them, and axes that end at round ones.

/// A number with its thousands apart and at most two decimals: `1,234.5`.
pub fn full(value: f64) -> String {
    let rounded = format!("{value:.2}");
    let plain = rounded.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = match plain.strip_prefix('-') {
        // `-0.001` is nothing.
        Some("0") => ("", "0"),
        Some(digits) => ("−", digits),
        None => ("", plain),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let mut text = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !decimals.is_empty() {
        text.push('.');
        text.push_str(decimals);
    }
    text
}

/// The same in few characters: `1.2k`, `3.4M`.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (scale, unit) = match size {
        _ if size >= 1e12 => (1e12, "T"),
        _ if size >= 1e9 => (1e9, "B"),
        _ if size >= 1e6 => (1e6, "M"),
        _ if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let scaled = value / scale;
    let rounded = if scaled.abs() >= 100.0 {
        scaled.round()
    } else {
        (scaled * 10.0).round() / 10.0
    };
    // Small numbers need their decimals.
    let shown = if size < 1.0 { value } else { rounded };
    format!("{}{unit}", full(shown))
}

/// How many, for drawing.
pub fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

/// A vertical axis.
#[derive(Debug, PartialEq)]
pub struct Scale {
    /// Its lower end, a tick.
    pub low: f64,
    /// Its upper end, a tick.
    pub high: f64,
    /// From tick to tick.
    step: f64,
}

impl Scale {
    /// One that holds all values. Bars begin at zero, always; a line may leave zero out if it is far away.
    pub fn new(values: impl Iterator<Item = f64> + Clone, is_from_zero: bool) -> Self {
        let (mut low, mut high) = (
            values.clone().fold(f64::INFINITY, f64::min),
            values.fold(f64::NEG_INFINITY, f64::max),
        );
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if is_from_zero || (low > 0.0 && low < high * 0.6) || (high < 0.0 && high > low * 0.6) {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            high = low + low.abs().max(1.0);
        }
        let step = step((high - low) / 4.0);
        Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
        }
    }

    /// From the lower end to the upper one.
    pub fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut at = 0_u32;
        loop {
            let tick = f64::from(at).mul_add(self.step, self.low);
            ticks.push(tick);
            at += 1;
            if tick >= self.high - self.step / 2.0 || at > 20 {
                return ticks;
            }
        }
    }

    /// Where a value is, 0 at the lower end and 1 at the upper one.
    pub fn part(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// The next round number.
fn step(raw: f64) -> f64 {
    let size = 10_f64.powf(raw.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0];
    let found = round.into_iter().find(|round| raw <= round * size * 1.0001);
    found.unwrap_or(10.0) * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_shortened() {
        for (value, all, few) in [
            (0.0, "0", "0"),
            (-0.001, "0", "0"),
            (0.126, "0.13", "0.13"),
            (1234.5, "1,234.5", "1,235"),
            (-56789.0, "−56,789", "−56.8k"),
            (1_234_567.0, "1,234,567", "1.2M"),
            (9_876_543_210.0, "9,876,543,210", "9.9B"),
        ] {
            assert_eq!((full(value).as_str(), short(value).as_str()), (all, few));
        }
    }

    #[test]
    fn axes_end_at_round_numbers_and_hold_everything() {
        for (values, is_from_zero, ticks) in [
            (&[3.0, 97.0][..], true, &[0.0, 25.0, 50.0, 75.0, 100.0][..]),
            (&[-4.0, 7.0], true, &[-5.0, 0.0, 5.0, 10.0]),
            (
                &[1000.0, 1010.0],
                false,
                &[1000.0, 1002.5, 1005.0, 1007.5, 1010.0],
            ),
            (&[0.0, 0.0], true, &[0.0, 0.25, 0.5, 0.75, 1.0]),
            (&[5.0], false, &[4.0, 6.0, 8.0, 10.0]),
            (&[], true, &[0.0, 0.25, 0.5, 0.75, 1.0]),
        ] {
            let scale = Scale::new(values.iter().copied(), is_from_zero);
            assert_eq!(scale.ticks(), ticks, "{values:?}");
            for value in values {
                assert!((0.0..=1.0).contains(&scale.part(*value)), "{value}");
            }
        }
    }
}
