//! Work as GXC's own miners are given it.
//!
//! Invariant: what is sent is what [`crate::verify::legacy`] puts together again.

use super::Session;
use crate::coin::Family;
use crate::gxc::legacy::Profile;
use crate::hashing::Hashing;
use crate::job::Job;
use crate::template::to_hex;
use crate::verify::{header_digest, legacy};
use crate::wire::v1::{self, JobRef, Submission};

impl Session {
    /// Writes work for a dialect that does not hash the standard's.
    pub(super) fn legacy_notify(&mut self, profile: Profile, job: &Job, sent: JobRef, clean: bool) {
        let extranonce1 = self.channel.as_ref().map_or([0; 4], |channel| {
            let assigned = channel.epochs.find(sent);
            assigned.map_or(channel.token.extranonce1(), |assigned| assigned.extranonce1)
        });
        let tail = self.tail_of(job);
        let template = &job.template;
        let mut params = String::from("[\"");
        sent.write(&mut params);
        if profile == Profile::Guide {
            let mut previous = template.prev_hash;
            previous.reverse();
            let root = legacy::root_given(job, sent.variant, extranonce1, &tail);
            let (previous, root, time) = (to_hex(&previous), to_hex(&root), template.cur_time);
            let difficulty = legacy::whole_difficulty(job);
            params.push_str(&format!("\",\"{previous}\",\"{root}\",{time},\"{difficulty:x}\"]"));
        } else {
            // Neither hashes a coinbase; what they take for the block before is bound to one.
            let digest = to_hex(&header_digest(job, sent.variant, extranonce1, &tail));
            let (version, bits, time) = (job.version, template.bits, template.cur_time);
            params.push_str(&format!(
                "\",\"{digest}\",\"\",\"\",[],\"{version:08x}\",\"{bits:08x}\",\"{time:08x}\",{clean}]"
            ));
        }
        v1::write_notification("mining.notify", &params, &mut self.out);
    }

    /// Is it as `gxc-pool-miner` writes it: the nonce once more, turned round, in place of the extranonce2 that it hashed?
    pub(super) fn is_pool_miners(&self, submission: &Submission) -> bool {
        let turned = (submission.nonce & 0xffff_ffff) as u32;
        // The suite does the same, and hashes none.
        let is_suite = matches!(
            self.door.rules.hashing,
            Hashing::Legacy(own) if own.profile() == Profile::Suite
        );
        !is_suite
            && self.door.coin.family() == Family::Gxc
            && submission.extranonce2.as_slice() == turned.to_le_bytes()
    }
}
