//! How much space points speak for: an estimate for people, by the filter and by what a plot of the usual size earns.

/// What a plot of size 32 takes on a disk.
pub const PLOT_BYTES: u128 = 108_884_400_275;
/// Points that it earns a day on average where the filter has nine bits; each bit less doubles them.
const POINTS_A_DAY: u128 = 10;

/// The space that so many points a day speak for.
#[must_use]
pub fn space_of(points: u64, filter_bits: u32) -> u128 {
    let loosened = 9u32.saturating_sub(filter_bits);
    (u128::from(points) * PLOT_BYTES / POINTS_A_DAY) >> loosened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_speak_for_space_by_the_filter() {
        assert_eq!(space_of(10, 9), PLOT_BYTES);
        assert_eq!(space_of(20, 8), PLOT_BYTES, "since June 2024");
        assert_eq!(space_of(0, 8), 0);
    }
}
