//! A view of a parsed document: simd-json's tape, walked without an allocation.

use simd_json::{Node, StaticNode, Tape};

/// One JSON value: its head, followed by whatever it contains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'t, 'a> {
    head: Node<'a>,
    inside: &'t [Node<'a>],
}

impl<'t, 'a> Json<'t, 'a> {
    /// The document on a tape; `None` on an empty tape.
    pub(super) fn document(tape: &'t Tape<'a>) -> Option<Self> {
        Values(&tape.0).next()
    }

    /// The members of an object in their order; `None` for anything else.
    #[inline]
    pub(super) fn members(self) -> Option<Members<'t, 'a>> {
        matches!(self.head, Node::Object { .. }).then_some(Members(Values(self.inside)))
    }

    /// The number of members or elements.
    pub(super) fn len(self) -> usize {
        match self.head {
            Node::Object { len, .. } | Node::Array { len, .. } => len,
            Node::String(_) | Node::Static(_) => 0,
        }
    }

    /// The elements of an array; `None` for anything else.
    pub(super) fn elements(self) -> Option<Values<'t, 'a>> {
        matches!(self.head, Node::Array { .. }).then_some(Values(self.inside))
    }

    /// The value without what it contains.
    #[inline]
    pub(super) fn head(self) -> Node<'a> {
        self.head
    }

    /// `None` for `null`, which stands for an absent field.
    #[inline]
    pub(super) fn unless_null(self) -> Option<Self> {
        (!matches!(self.head, Node::Static(StaticNode::Null))).then_some(self)
    }

    /// What the value is, with its article, for a message.
    pub(super) fn kind(self) -> &'static str {
        match self.head {
            Node::String(_) => "a string",
            Node::Object { .. } => "an object",
            Node::Array { .. } => "an array",
            Node::Static(StaticNode::Null) => "null",
            Node::Static(StaticNode::Bool(_)) => "a boolean",
            Node::Static(_) => "a number",
        }
    }
}

/// Values that stand one after the other.
#[derive(Clone, Debug)]
pub(super) struct Values<'t, 'a>(&'t [Node<'a>]);

impl<'t, 'a> Iterator for Values<'t, 'a> {
    type Item = Json<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&head, rest) = self.0.split_first()?;
        let count = match head {
            Node::Object { count, .. } | Node::Array { count, .. } => count,
            Node::String(_) | Node::Static(_) => 0,
        };
        let (inside, rest) = rest.split_at(count);
        self.0 = rest;
        Some(Json { head, inside })
    }
}

/// The members of an object.
#[derive(Clone, Debug)]
pub(super) struct Members<'t, 'a>(Values<'t, 'a>);

impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (&'a str, Json<'t, 'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&key, rest) = self.0.0.split_first()?;
        self.0.0 = rest;
        // The parser writes a string and a value for each member, nothing else.
        let Node::String(key) = key else { return None };
        Some((key, self.0.next()?))
    }
}
