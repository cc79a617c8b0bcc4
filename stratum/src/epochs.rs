//! Which difficulty each job of a connection was sent at.
//!
//! Invariant: a job is judged for ever by the assignment that stood when it was sent; one that was never sent has none.

use crate::verify::Assignment;
use crate::wire::v1::JobRef;

/// What a connection was sent at which difficulty: ranges of jobs, and the variants made by changes within a job.
#[derive(Debug, Default)]
pub struct Epochs {
    ranges: Vec<(u32, Assignment)>,
    variants: Vec<(JobRef, Assignment)>,
    last_no: u32,
}

impl Epochs {
    pub(crate) fn assign(&mut self, job: JobRef, assignment: Assignment) {
        if job.variant > 0 {
            self.variants.push((job, assignment));
            return;
        }
        self.last_no = job.no;
        if self.ranges.last().is_none_or(|(_, last)| *last != assignment) {
            // Connections that are idle, or at their difficulty, have one.
            self.ranges.reserve_exact(1);
            self.ranges.push((job.no, assignment));
        }
    }

    pub(crate) fn find(&self, job: JobRef) -> Option<Assignment> {
        if job.variant > 0 {
            return self
                .variants
                .iter()
                .find(|(sent, _)| *sent == job)
                .map(|(_, assignment)| *assignment);
        }
        let sent = self.ranges.iter().rev().find(|(from, _)| *from <= job.no);
        sent.filter(|_| job.no <= self.last_no).map(|(_, assignment)| *assignment)
    }

    /// The variant that the next sending of this job needs; `None` when there are no more. Where another connection may
    /// have been sent the same job, `least` tells its variants from this one's.
    pub(crate) fn next_variant(&self, no: u32, least: u8) -> Option<u8> {
        if least == 0 && (self.ranges.is_empty() || no > self.last_no) {
            return Some(0);
        }
        let of_job = self.variants.iter().filter(|(sent, _)| sent.no == no);
        match of_job.map(|(sent, _)| sent.variant).max() {
            Some(used) => used.checked_add(1).map(|next| next.max(least)),
            None => Some(least.max(1)),
        }
    }

    /// Takes over what an earlier connection was sent, as far as this one was not sent the same jobs itself.
    pub(crate) fn absorb(&mut self, earlier: Epochs) {
        let first = self.ranges.first().map_or(u32::MAX, |(first, _)| *first);
        // The last range of the earlier one ends where this one's first begins.
        let own = std::mem::take(&mut self.ranges);
        self.ranges = earlier.ranges.into_iter().filter(|(from, _)| *from < first).collect();
        self.ranges.extend(own);
        self.variants.extend(earlier.variants.into_iter().filter(|(sent, _)| sent.no < first));
        self.last_no = self.last_no.max(earlier.last_no.min(first.saturating_sub(1)));
    }

    pub(crate) fn drop_before(&mut self, oldest: u32) {
        self.variants.retain(|(sent, _)| sent.no >= oldest);
        while self.ranges.get(1).is_some_and(|(from, _)| *from <= oldest) {
            self.ranges.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounting::Weight;
    use pow::Target;

    fn at(weight: u64) -> Assignment {
        Assignment {
            target: Target::from_be_bytes([0x11; 32]),
            weight: Weight::new(weight).unwrap(),
            extranonce1: [0; 4],
        }
    }

    fn job(no: u32, variant: u8) -> JobRef {
        JobRef { no, variant }
    }

    #[test]
    fn a_job_keeps_the_assignment_it_was_sent_at() {
        let mut epochs = Epochs::default();
        epochs.assign(job(5, 0), at(1));
        epochs.assign(job(7, 0), at(1));
        epochs.assign(job(8, 0), at(2));
        assert_eq!(epochs.find(job(5, 0)), Some(at(1)));
        assert_eq!(epochs.find(job(7, 0)), Some(at(1)));
        assert_eq!(epochs.find(job(8, 0)), Some(at(2)));
    }

    #[test]
    fn a_job_that_was_never_sent_has_no_assignment() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.find(job(0, 0)), None);
        epochs.assign(job(5, 0), at(1));
        assert_eq!(epochs.find(job(4, 0)), None);
        assert_eq!(epochs.find(job(6, 0)), None);
        assert_eq!(epochs.find(job(5, 1)), None);
    }

    #[test]
    fn a_job_sent_again_is_a_variant_until_there_are_no_more() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.next_variant(5, 0), Some(0));
        epochs.assign(job(5, 0), at(1));
        for variant in 1..=u8::MAX {
            assert_eq!(epochs.next_variant(5, 0), Some(variant));
            epochs.assign(job(5, variant), at(u64::from(variant) + 1));
        }
        assert_eq!(epochs.next_variant(5, 0), None);
        assert_eq!(epochs.next_variant(6, 0), Some(0));
        assert_eq!(epochs.find(job(5, 0)), Some(at(1)));
        assert_eq!(epochs.find(job(5, 9)), Some(at(10)));
    }

    #[test]
    fn an_earlier_connections_jobs_are_judged_as_they_were_sent_there() {
        let (mut earlier, mut own) = (Epochs::default(), Epochs::default());
        earlier.assign(job(10, 0), at(1));
        earlier.assign(job(10, 1), at(2));
        earlier.assign(job(12, 0), at(3));
        own.assign(job(12, 0), at(4));
        own.absorb(earlier);
        let weight = |no, variant| own.find(job(no, variant)).map(|found| found.weight.get());
        assert_eq!(weight(10, 0), Some(1));
        assert_eq!(weight(10, 1), Some(2));
        assert_eq!(weight(12, 0), Some(4), "what both were sent is this one's");
        assert_eq!(weight(13, 0), None);
    }

    #[test]
    fn forgetting_old_jobs_keeps_what_later_ones_were_sent_at() {
        let mut epochs = Epochs::default();
        for no in 1..=9 {
            epochs.assign(job(no, 0), at(1 + u64::from(no) / 4));
        }
        epochs.assign(job(3, 1), at(50));
        epochs.assign(job(6, 1), at(60));
        epochs.drop_before(6);
        assert_eq!(epochs.find(job(6, 0)), Some(at(2)));
        assert_eq!(epochs.find(job(9, 0)), Some(at(3)));
        assert_eq!(epochs.find(job(6, 1)), Some(at(60)));
        assert_eq!(epochs.find(job(3, 1)), None);
    }
}
