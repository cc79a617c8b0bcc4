//! Chialisp as bytes: reading, writing and hashing trees of atoms. Nothing is run: a stranger's program is only looked at.
//!
//! Invariant: total and without recursion: a tree as deep as its bytes allow is read, hashed and dropped like any other; a tree
//! has as many parts as its bytes at most.

use crate::hash::{Bytes32, sha256};

/// The longest program that is read: a block's limit is far above it, a singleton's spend far below.
pub const BYTES_MAX: usize = 1 << 20;

const NIL: u8 = 0x80;
const PAIR: u8 = 0xff;
/// Longest prefix of an atom's length.
const PREFIXES: [(u8, u8, u32); 4] =
    [(0x80, 0xc0, 0), (0xc0, 0xe0, 1), (0xe0, 0xf0, 2), (0xf0, 0xf8, 3)];

/// A part of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(usize);

#[derive(Debug, Clone)]
enum Part {
    Atom(Vec<u8>),
    Pair(Node, Node),
}

/// A tree, or several: every part after those it is made of.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    parts: Vec<Part>,
}

/// These bytes are no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no serialised program")]
pub struct NotClvm;

impl Tree {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a whole program into it.
    ///
    /// # Errors
    /// When it ends too early or too late, or has compressed parts.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Node, NotClvm> {
        if bytes.len() > BYTES_MAX {
            return Err(NotClvm);
        }
        let mut rest = bytes;
        // What is still to come: a part, or the moment when two of them make a pair.
        let mut steps = vec![false];
        let mut done: Vec<Node> = Vec::new();
        while let Some(joins) = steps.pop() {
            if joins {
                let (Some(second), Some(first)) = (done.pop(), done.pop()) else {
                    return Err(NotClvm);
                };
                done.push(self.pair(first, second));
                continue;
            }
            let (&lead, behind) = rest.split_first().ok_or(NotClvm)?;
            if lead == PAIR {
                rest = behind;
                steps.extend([true, false, false]);
            } else {
                let (atom, behind) = read_atom(rest)?;
                rest = behind;
                done.push(self.atom(atom));
            }
        }
        match (done.as_slice(), rest) {
            ([root], []) => Ok(*root),
            _ => Err(NotClvm),
        }
    }

    /// Writes a part of it as a program.
    #[must_use]
    pub fn write(&self, root: Node) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            match self.parts.get(node.0) {
                Some(Part::Pair(first, rest)) => {
                    bytes.push(PAIR);
                    open.extend([*rest, *first]);
                }
                Some(Part::Atom(atom)) => write_atom(atom, &mut bytes),
                None => {}
            }
        }
        bytes
    }

    /// The hash that names a program: 1 and an atom, or 2 and the hashes of a pair, hashed.
    #[must_use]
    pub fn hash(&self, root: Node) -> Bytes32 {
        // Parts follow what they are made of, so one pass from the first is enough.
        let mut hashes: Vec<Bytes32> = Vec::with_capacity(root.0 + 1);
        for part in self.parts.iter().take(root.0 + 1) {
            hashes.push(match part {
                Part::Atom(atom) => atom_hash(atom),
                Part::Pair(first, rest) => {
                    let of = |node: &Node| hashes.get(node.0).copied().unwrap_or_default();
                    pair_hash(&of(first), &of(rest))
                }
            });
        }
        hashes.pop().unwrap_or_default()
    }

    /// Adds an atom.
    pub fn atom(&mut self, bytes: &[u8]) -> Node {
        self.add(Part::Atom(bytes.to_vec()))
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> Node {
        let bytes = number_bytes(number);
        self.add(Part::Atom(bytes))
    }

    /// Adds a pair.
    pub fn pair(&mut self, first: Node, rest: Node) -> Node {
        self.add(Part::Pair(first, rest))
    }

    /// Adds a list.
    pub fn list(&mut self, items: &[Node]) -> Node {
        let nil = self.atom(&[]);
        items.iter().rev().fold(nil, |rest, item| self.pair(*item, rest))
    }

    /// Adds a program with arguments bound to it.
    pub fn curry(&mut self, program: Node, arguments: &[Node]) -> Node {
        let mut environment = self.number(1);
        for argument in arguments.iter().rev() {
            let quoted = self.quoted(*argument);
            let cons = self.number(4);
            environment = self.list(&[cons, quoted, environment]);
        }
        let quoted = self.quoted(program);
        let apply = self.number(2);
        self.list(&[apply, quoted, environment])
    }

    /// Adds a program that answers with this.
    pub fn quoted(&mut self, node: Node) -> Node {
        let quote = self.number(1);
        self.pair(quote, node)
    }

    /// The atom that a part is.
    #[must_use]
    pub fn as_atom(&self, node: Node) -> Option<&[u8]> {
        match self.parts.get(node.0)? {
            Part::Atom(bytes) => Some(bytes),
            Part::Pair(..) => None,
        }
    }

    /// The pair that a part is.
    #[must_use]
    pub fn as_pair(&self, node: Node) -> Option<(Node, Node)> {
        match self.parts.get(node.0)? {
            Part::Pair(first, rest) => Some((*first, *rest)),
            Part::Atom(_) => None,
        }
    }

    /// The number that a part is: not negative, not beyond 64 bits, and written as it should be.
    #[must_use]
    pub fn as_number(&self, node: Node) -> Option<u64> {
        let bytes = self.as_atom(node)?;
        let value = bytes.iter().take(9).fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let value = u64::try_from(value).ok()?;
        (number_bytes(value) == bytes).then_some(value)
    }

    /// The 32 bytes that a part is.
    #[must_use]
    pub fn as_hash(&self, node: Node) -> Option<Bytes32> {
        Some(Bytes32(self.as_atom(node)?.try_into().ok()?))
    }

    /// The first arguments of a solution, as a puzzle looks at them: what follows them is passed over, whatever it is.
    #[must_use]
    pub fn as_arguments<const N: usize>(&self, node: Node) -> Option<[Node; N]> {
        let mut rest = node;
        let mut arguments = [node; N];
        for argument in &mut arguments {
            (*argument, rest) = self.as_pair(rest)?;
        }
        Some(arguments)
    }

    /// The low 128 bits of a number in any form, as `(logand (- (lsh 1 128) 1) number)`.
    #[must_use]
    pub fn as_low_bits(&self, node: Node) -> Option<u128> {
        let bytes = self.as_atom(node)?;
        let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { u128::MAX } else { 0 };
        Some(bytes.iter().fold(sign, |low, byte| low << 8 | u128::from(*byte)))
    }

    /// The items of a list, `max` at most; none for what is no list or longer.
    #[must_use]
    pub fn as_list(&self, node: Node, max: usize) -> Option<Vec<Node>> {
        let (mut items, mut rest) = (Vec::new(), node);
        while let Some((first, next)) = self.as_pair(rest) {
            if items.len() == max {
                return None;
            }
            items.push(first);
            rest = next;
        }
        self.as_atom(rest)?.is_empty().then_some(items)
    }

    /// The program and the arguments that were bound to it, where a part is what [`Tree::curry`] makes of so many at most.
    #[must_use]
    pub fn as_curried(&self, node: Node, max: usize) -> Option<(Node, Vec<Node>)> {
        let unquoted = |node: Node| {
            let (quote, inside) = self.as_pair(node)?;
            (self.as_number(quote) == Some(1)).then_some(inside)
        };
        let application = self.as_list(node, 3)?;
        let [apply, program, mut environment] = *application.as_slice() else { return None };
        if self.as_number(apply) != Some(2) {
            return None;
        }
        let mut arguments = Vec::new();
        while self.as_number(environment) != Some(1) {
            let step = self.as_list(environment, 3)?;
            let [cons, argument, rest] = *step.as_slice() else { return None };
            if self.as_number(cons) != Some(4) || arguments.len() == max {
                return None;
            }
            arguments.push(unquoted(argument)?);
            environment = rest;
        }
        Some((unquoted(program)?, arguments))
    }

    fn add(&mut self, part: Part) -> Node {
        self.parts.push(part);
        Node(self.parts.len() - 1)
    }
}

/// A number as the chain writes it: as few bytes as will do, the highest first, positive.
#[must_use]
pub fn number_bytes(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let needs_sign = digits.first().is_some_and(|byte| *byte >= 0x80);
    needs_sign.then_some(0).into_iter().chain(digits.iter().copied()).collect()
}

/// The hash of an atom.
#[must_use]
pub fn atom_hash(atom: &[u8]) -> Bytes32 {
    sha256([&[1], atom])
}

/// The hash of a pair, from those of its sides.
#[must_use]
pub fn pair_hash(first: &Bytes32, rest: &Bytes32) -> Bytes32 {
    sha256([&[2], first.as_ref(), rest.as_ref()])
}

/// The hash of a list, from those of its items.
#[must_use]
pub fn list_hash(items: &[Bytes32]) -> Bytes32 {
    items.iter().rev().fold(atom_hash(&[]), |rest, item| pair_hash(item, &rest))
}

/// The hash of a program with arguments bound to it, from those of the program and the arguments.
#[must_use]
pub fn curried_hash(program: &Bytes32, arguments: &[Bytes32]) -> Bytes32 {
    let quoted = |hash: &Bytes32| pair_hash(&atom_hash(&[1]), hash);
    let environment = arguments.iter().rev().fold(atom_hash(&[1]), |rest, argument| {
        list_hash(&[atom_hash(&[4]), quoted(argument), rest])
    });
    list_hash(&[atom_hash(&[2]), quoted(program), environment])
}

fn read_atom(bytes: &[u8]) -> Result<(&[u8], &[u8]), NotClvm> {
    let (&lead, behind) = bytes.split_first().ok_or(NotClvm)?;
    if lead < NIL {
        return bytes.split_at_checked(1).ok_or(NotClvm);
    }
    let prefix = PREFIXES.iter().find(|(from, to, _)| (*from..*to).contains(&lead));
    let (from, _, more) = prefix.ok_or(NotClvm)?;
    let (size, behind) = behind.split_at_checked(*more as usize).ok_or(NotClvm)?;
    let length =
        size.iter().fold(usize::from(lead - from), |sum, byte| sum << 8 | usize::from(*byte));
    behind.split_at_checked(length).ok_or(NotClvm)
}

fn write_atom(atom: &[u8], bytes: &mut Vec<u8>) {
    let length = atom.len() as u64;
    match atom {
        [byte] if *byte < NIL => {}
        _ => {
            let (from, _, more) = PREFIXES
                .into_iter()
                .find(|(from, to, more)| length >> (8 * more) < u64::from(to - from))
                .unwrap_or(PREFIXES[3]);
            let size = length.to_be_bytes();
            let [.., third, second, first] = size;
            let all = [third, second, first];
            let (_, low) = all.split_at(3 - more as usize);
            let high = (length >> (8 * more)) as u8;
            bytes.push(from | high);
            bytes.extend_from_slice(low);
        }
    }
    bytes.extend_from_slice(atom);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<(Tree, Node), NotClvm> {
        let mut tree = Tree::new();
        let root = tree.read(bytes)?;
        Ok((tree, root))
    }

    #[test]
    fn published_puzzles_are_written_as_they_were_read_and_hash_as_published() {
        for (puzzle, hash) in [
            (&chia_puzzles::SINGLETON_TOP_LAYER[..], chia_puzzles::SINGLETON_TOP_LAYER_HASH),
            (&chia_puzzles::POOL_MEMBER_INNERPUZ, chia_puzzles::POOL_MEMBER_INNERPUZ_HASH),
            (
                &chia_puzzles::POOL_WAITINGROOM_INNERPUZ,
                chia_puzzles::POOL_WAITINGROOM_INNERPUZ_HASH,
            ),
            (&chia_puzzles::SINGLETON_LAUNCHER, chia_puzzles::SINGLETON_LAUNCHER_HASH),
        ] {
            let (tree, root) = read(puzzle).unwrap();
            assert_eq!(tree.write(root), puzzle);
            assert_eq!(tree.hash(root).0, hash);
        }
    }

    #[test]
    fn atoms_of_every_length_come_back() {
        for length in [0, 1, 2, 63, 64, 65, 8191, 8192, 8193, 0xf_ffff - 20] {
            let mut tree = Tree::new();
            let atom = tree.atom(&vec![0xab; length]);
            let bytes = tree.write(atom);
            let (again, root) = read(&bytes).unwrap();
            assert_eq!(again.as_atom(root).unwrap().len(), length);
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_or_is_compressed_is_no_program() {
        for wrong in [
            &[][..],
            &[0xff],
            &[0xff, 1],
            &[1, 1],
            &[0x81],
            &[0xc0],
            &[0xfe, 1],
            &[0xf8],
            &[0xf7, 0xff, 0xff, 0xff],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_tree_as_deep_as_its_bytes_is_read_hashed_and_dropped() {
        let mut bytes = vec![PAIR; BYTES_MAX / 2 - 1];
        bytes.resize(BYTES_MAX - 1, NIL);
        let (tree, root) = read(&bytes).unwrap();
        assert_ne!(tree.hash(root), Bytes32::default());
        assert_eq!(tree.write(root), bytes);
    }

    #[test]
    fn what_was_bound_to_a_program_is_found_again() {
        let mut tree = Tree::new();
        let program = tree.read(&[0xff, 2, 0xff, 5, 0x80]).unwrap();
        let arguments = [tree.atom(b"one"), tree.number(2), tree.atom(&[])];
        let curried = tree.curry(program, &arguments);
        let (found, bound) = tree.as_curried(curried, 3).unwrap();
        assert_eq!((found, bound.as_slice()), (program, &arguments[..]));
        assert!(tree.as_curried(curried, 2).is_none(), "more than were asked for");
        assert!(tree.as_curried(program, 3).is_none() && tree.as_curried(found, 3).is_none());
        let none = tree.curry(program, &[]);
        assert_eq!(tree.as_curried(none, 3), Some((program, Vec::new())));
    }

    #[test]
    fn currying_a_tree_and_its_hash_agree() {
        let mut tree = Tree::new();
        let (a, b) = (tree.number(604_800), tree.atom(&[7; 32]));
        let program = tree.list(&[a, b]);
        let curried = tree.curry(program, &[a, b]);
        let hashes = [tree.hash(a), tree.hash(b)];
        assert_eq!(tree.hash(curried), curried_hash(&tree.hash(program), &hashes));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64) {
            let mut tree = Tree::new();
            let node = tree.number(number);
            prop_assert_eq!(tree.as_number(node), Some(number));
        }

        #[test]
        fn any_bytes_are_a_program_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((tree, root)) = read(&bytes) {
                let (again, same) = read(&tree.write(root)).unwrap();
                prop_assert_eq!(again.hash(same), tree.hash(root));
            }
        }
    }

    #[test]
    fn of_a_number_in_any_form_the_low_bits_count() {
        let mut tree = Tree::new();
        let high = [&[1][..], &[0; 15], &[19]].concat();
        let negative = [&[0xff][..], &[0; 15], &[19]].concat();
        for bytes in [&[19][..], &[0, 0, 19], &high, &negative] {
            let node = tree.atom(bytes);
            assert_eq!(tree.as_low_bits(node), Some(19), "{bytes:?}");
        }
        let (none, minus_one) = (tree.atom(&[]), tree.atom(&[0xff]));
        assert_eq!(tree.as_low_bits(none), Some(0));
        assert_eq!(tree.as_low_bits(minus_one), Some(u128::MAX));
        let pair = tree.pair(none, none);
        assert_eq!(tree.as_low_bits(pair), None);
    }

    #[test]
    fn arguments_are_the_first_items_whatever_follows() {
        let mut tree = Tree::new();
        let (one, two) = (tree.number(1), tree.number(2));
        let (exact, longer) = (tree.list(&[one, two]), tree.list(&[one, two, one]));
        let improper = tree.pair(two, one);
        let improper = tree.pair(one, improper);
        for list in [exact, longer, improper] {
            assert_eq!(tree.as_arguments(list), Some([one, two]));
        }
        let short = tree.list(&[one]);
        assert_eq!(tree.as_arguments::<2>(short), None);
        assert_eq!(tree.as_arguments::<2>(one), None);
    }

    #[test]
    fn numbers_that_are_negative_or_not_minimal_are_none() {
        let mut tree = Tree::new();
        for bytes in [&[0x80][..], &[0xff], &[0], &[0, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 20]] {
            let node = tree.atom(bytes);
            assert_eq!(tree.as_number(node), None, "{bytes:?}");
        }
    }
}
