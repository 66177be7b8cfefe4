//! The tree against the published heads of RFC 6962's reference inputs, and against its own definition.

use super::tree::*;
use proptest::prelude::*;

fn leaf(record: &[u8]) -> Hash {
    sha256(&[&[LEAF], record].concat())
}

fn tree_of(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf, |_, _| {}));
    tree
}

/// MTH of RFC 9162 section 2.1.1, word for word.
fn head_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let split = (1..leaves.len()).rev().find(|size| size.is_power_of_two()).unwrap();
            let (left, right) = leaves.split_at(split);
            parent(&head_of(left), &head_of(right))
        }
    }
}

/// The roots of ranges, made from the roots of whole subtrees as the proofs are.
fn roots(leaves: &[Hash], ranges: &[std::ops::Range<u64>]) -> Vec<Hash> {
    let slice = |range: std::ops::Range<u64>| {
        &leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    };
    let root = |range: &std::ops::Range<u64>| {
        let whole: Vec<Hash> =
            subtrees(range.clone()).iter().map(|node| head_of(slice(node.leaves()))).collect();
        assert_eq!(joined(&whole), head_of(slice(range.clone())));
        joined(&whole)
    };
    ranges.iter().map(root).collect()
}

#[test]
fn heads_are_those_published_for_the_reference_inputs() {
    let inputs: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
            0x6e, 0x6f,
        ],
    ];
    let heads = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let leaves: Vec<Hash> = inputs.iter().map(|input| leaf(input)).collect();
    for (size, head) in heads.iter().enumerate() {
        let root = tree_of(&leaves[..size]).root();
        let hex: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, *head, "{size} leaves");
    }
}

#[test]
fn subtrees_are_told_when_they_are_whole() {
    let leaves: Vec<Hash> = (0..70_000_u32).map(|number| leaf(&number.to_be_bytes())).collect();
    let (mut tree, mut told) = (Tree::default(), Vec::new());
    leaves.iter().for_each(|leaf| tree.push(*leaf, |node, root| told.push((node, root))));
    let large: Vec<_> = told.iter().filter(|(node, _)| node.level == 16).collect();
    assert_eq!(large, [&(Node { level: 16, index: 0 }, head_of(&leaves[..65_536]))]);
    assert_eq!(told.len(), 70_000 / 256 + 1);
    assert_eq!(told[2], (Node { level: 8, index: 2 }, head_of(&leaves[512..768])));
    let again = Tree::from_parts(70_000, &tree.peaks()).unwrap();
    assert_eq!(again, tree);
    assert_eq!(Tree::from_parts(70_001, &tree.peaks()), None);
    assert_eq!(Tree::from_parts(-1, &[]), None);
}

proptest! {
    #[test]
    fn every_leaf_is_proven_and_no_other(size in 1_u64..300, index in 0_u64..300, wrong in any::<[u8; 32]>()) {
        prop_assume!(index < size);
        let leaves: Vec<Hash> = (0..size).map(|number| leaf(&number.to_be_bytes())).collect();
        let own = leaves[usize::try_from(index).unwrap()];
        let head = tree_of(&leaves).root();
        let path = roots(&leaves, &inclusion_path(index, size));
        prop_assert_eq!(root_of_inclusion(index, size, own, &path), Some(head));
        prop_assert_ne!(root_of_inclusion(index, size, wrong, &path), Some(head));
        for other in 0..size {
            let at_other = root_of_inclusion(other, size, own, &path);
            prop_assert_eq!(at_other == Some(head), other == index);
        }
        let longer = [path.as_slice(), &[wrong]].concat();
        prop_assert_eq!(root_of_inclusion(index, size, own, &longer), None);
        if let Some((_, shorter)) = path.split_last() {
            prop_assert_eq!(root_of_inclusion(index, size, own, shorter), None);
        }
    }

    #[test]
    fn growth_is_proven_and_nothing_else(smaller in 1_u64..300, size in 1_u64..300, wrong in any::<[u8; 32]>()) {
        prop_assume!(smaller <= size);
        let leaves: Vec<Hash> = (0..size).map(|number| leaf(&number.to_be_bytes())).collect();
        let from = (smaller, head_of(&leaves[..usize::try_from(smaller).unwrap()]));
        let to = (size, head_of(&leaves));
        let path = roots(&leaves, &consistency_path(smaller, size));
        prop_assert!(is_consistent(from, to, &path));
        prop_assert!(!is_consistent((smaller, wrong), to, &path));
        prop_assert!(!is_consistent(from, (size, wrong), &path));
        prop_assert!(!is_consistent(from, to, &[path.as_slice(), &[wrong]].concat()));
        for at in 0..path.len() {
            let mut changed = path.clone();
            changed[at] = wrong;
            prop_assert!(!is_consistent(from, to, &changed));
        }
    }
}
