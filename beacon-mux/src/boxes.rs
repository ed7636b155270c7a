//! Writing and walking boxes (ISO/IEC 14496-12 §4.2).

/// Appends one box; its size is patched in when `body` has run.
///
/// Bodies stay below 4 GiB: everything but `mdat` is bounded by the track limits, and
/// [`fragment`](crate::fragment) checks the rest.
pub(crate) fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    body(out);
    let size = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a box that begins with a version and 24 bits of flags.
pub(crate) fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        put32(out, u32::from(version) << 24 | flags);
        body(out);
    });
}

pub(crate) fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}

/// Header of a box: its type, where the body starts, and the whole size.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: [u8; 4],
    /// Bytes of the header, 8 or 16.
    pub(crate) len: u64,
    /// Bytes of header and body; `None` when it reaches to the end of the file.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// Reads a header from the first bytes of a box; `None` when they do not make one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let size = u64::from(u32::from_be_bytes(*bytes.first_chunk()?));
        let kind = *bytes.get(4..)?.first_chunk()?;
        let (len, size) = match size {
            0 => (8, None),
            1 => (16, Some(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?))),
            size => (8, Some(size)),
        };
        if size.is_some_and(|size| size < len) {
            return None;
        }
        Some(Self { kind, len, size })
    }
}

/// The boxes in `bytes`, as type and body, up to the first that is not whole.
///
/// Deliberately one level at a time: a parser that recurses can be driven into a stack overflow
/// by a file of nested headers.
pub(crate) fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    core::iter::from_fn(move || {
        let header = Header::parse(bytes)?;
        let start = usize::try_from(header.len).ok()?;
        let end = match header.size {
            Some(size) => usize::try_from(size).ok()?,
            None => bytes.len(),
        };
        let body = bytes.get(start..end)?;
        bytes = &bytes[end..];
        Some((header.kind, body))
    })
}

/// The body of the first child of that type.
pub(crate) fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The body reached by going from child to child.
pub(crate) fn descend<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| child(bytes, kind))
}
