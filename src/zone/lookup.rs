//! Where a name leads inside a zone: RFC 1034 §4.3.2 steps 3 and 4, as a walk from the apex down.
//!
//! The walk asks for each name between the apex and the one wanted, so a zone cut or a DNAME above
//! it is always met before data below it: occluded records need no mark of their own.

use super::node::{HAS_DNAME, HAS_WILDCARD_CHILD, IS_CUT};
use super::{Key, Node, Zone};
use crate::wire::Rtype;

/// What a zone has at a name.
pub enum Found<'z> {
    /// The name itself; a node without data is an empty non-terminal.
    Exact(Node<'z>),
    /// The wildcard at the closest encloser stands for it (RFC 4592 §3.3.1).
    Wildcard(Node<'z>),
    /// A zone cut at or above it, and the index of the cut among the labels of the name.
    Delegation(Node<'z>, usize),
    /// A DNAME strictly above it (RFC 6672 §3.2), and the index of its owner.
    Dname(Node<'z>, usize),
    /// The name does not exist.
    NoName,
}

impl Zone {
    /// Finds the name whose label `apex` starts this zone's apex. DS at a zone cut belongs to this
    /// side of it (RFC 4035 §3.1.4.1), so the question's type matters there and nowhere else.
    #[must_use]
    pub fn lookup(&self, key: &Key, apex: usize, qtype: Rtype) -> Found<'_> {
        let Some(mut encloser) = self.node(key.hash(apex), key.suffix(apex)) else {
            return Found::NoName;
        };
        if encloser.has(HAS_DNAME) && apex > 0 {
            return Found::Dname(encloser, apex);
        }
        for index in (0..apex).rev() {
            let Some(node) = self.node(key.hash(index), key.suffix(index)) else {
                return self.wildcard(encloser, key, index + 1);
            };
            if node.has(IS_CUT | HAS_DNAME) {
                if node.has(IS_CUT) && !(index == 0 && qtype == Rtype::DS) {
                    return Found::Delegation(node, index);
                }
                if node.has(HAS_DNAME) && index > 0 {
                    return Found::Dname(node, index);
                }
            }
            encloser = node;
        }
        Found::Exact(encloser)
    }

    /// The wildcard of the closest encloser, which starts at label `index` of the name.
    fn wildcard(&self, encloser: Node<'_>, key: &Key, index: usize) -> Found<'_> {
        if !encloser.has(HAS_WILDCARD_CHILD) {
            return Found::NoName;
        }
        let parent = key.suffix(index);
        let is_it = |name: &[u8]| name.strip_prefix(b"\x01*") == Some(parent);
        self.node_by(key.wildcard_hash(index), is_it).map_or(Found::NoName, Found::Wildcard)
    }
}
