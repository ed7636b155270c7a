//! What a broadcast says of itself: the words and the picture that lists show.
//!
//! Everything is checked when it is made, by the publisher and again by whoever reads it from the
//! network, so that a list never has to.

mod picture;

pub use picture::Picture;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters of a title at most.
pub const TITLE_CHARS_MAX: usize = 100;
/// Characters of a category or of a tag at most.
pub const WORD_CHARS_MAX: usize = 32;
/// Tags at most.
pub const TAGS_MAX: usize = 8;
/// Bytes of a thumbnail at most: in base64 it fits a message of the signaling protocol, and a
/// JPEG of 320 × 180 has 8–15 KB.
pub const THUMBNAIL_BYTES_MAX: usize = 20 * 1024;
/// Pixels of a thumbnail's longer side at most. A small file can hold a picture that fills a
/// browser's memory.
pub const THUMBNAIL_SIDE_MAX: u32 = 1280;

/// What cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// The title.
    #[error("a title is at most {TITLE_CHARS_MAX} printable characters in one line")]
    Title,
    /// The category or a tag.
    #[error(
        "{0:?} cannot be a category or a tag: use 1 to {WORD_CHARS_MAX} letters, digits, spaces \
         and - _ + # . & ', with a letter or digit among them and no space at either end"
    )]
    Word(String),
    /// The number of tags.
    #[error("{0} tags are too many: at most {TAGS_MAX}")]
    Tags(usize),
    /// A tag that is there already, in other letters at most.
    #[error("the tag {0:?} is there twice: leave one out")]
    Twice(String),
    /// The picture's size in bytes.
    #[error(
        "a thumbnail of {0} bytes is above {THUMBNAIL_BYTES_MAX}: make it smaller, 320 by 180 \
         pixels are enough"
    )]
    Bytes(usize),
    /// The picture's size in pixels.
    #[error("a thumbnail of {0} by {1} pixels is above {THUMBNAIL_SIDE_MAX}: make it smaller")]
    Pixels(u32, u32),
    /// No picture, or of a kind that is not taken.
    #[error("a thumbnail is a JPEG, PNG or WebP picture; this is none of them")]
    Kind,
    /// Not base64.
    #[error("a thumbnail is in base64 (RFC 4648 §4, padded)")]
    Base64,
}

/// A broadcast as lists show it. The default is empty: lists show its name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// In words.
    pub about: About,
    /// As a picture.
    pub thumbnail: Option<Thumbnail>,
}

/// Title, category and tags: each may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Words")]
pub struct About {
    title: String,
    category: String,
    tags: Vec<String>,
}

/// [`About`] unchecked.
#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    title: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl TryFrom<Words> for About {
    type Error = ListingError;
    fn try_from(Words { title, category, tags }: Words) -> Result<Self, ListingError> {
        Self::new(title, category, tags)
    }
}

impl About {
    /// A title of up to [`TITLE_CHARS_MAX`] characters, a category, and up to [`TAGS_MAX`] tags.
    /// Title and category may be empty.
    ///
    /// # Errors
    /// [`ListingError`] with the first that cannot be.
    pub fn new(
        title: impl Into<String>,
        category: impl Into<String>,
        tags: Vec<String>,
    ) -> Result<Self, ListingError> {
        let (title, category) = (title.into(), category.into());
        let long = too_long(&title, TITLE_CHARS_MAX);
        if long || title.chars().any(unprintable) || title.trim() != title {
            return Err(ListingError::Title);
        }
        if !category.is_empty() {
            check_word(&category)?;
        }
        if tags.len() > TAGS_MAX {
            return Err(ListingError::Tags(tags.len()));
        }
        for (at, tag) in tags.iter().enumerate() {
            check_word(tag)?;
            let folded = tag.to_lowercase();
            if tags[..at].iter().any(|earlier| earlier.to_lowercase() == folded) {
                return Err(ListingError::Twice(tag.clone()));
            }
        }
        Ok(Self { title, category, tags })
    }

    /// The title; empty without one.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The category; empty without one.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// The tags, as the publisher ordered them.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }
}

fn check_word(word: &str) -> Result<(), ListingError> {
    let fits = |c: char| c.is_alphanumeric() || " -_+#.&'".contains(c);
    let good = !too_long(word, WORD_CHARS_MAX)
        && word.chars().all(fits)
        && word.chars().any(char::is_alphanumeric)
        && word.trim() == word;
    if good {
        return Ok(());
    }
    // What is told back is cut: the text may be hostile.
    Err(ListingError::Word(word.chars().take(WORD_CHARS_MAX).collect()))
}

/// Four bytes per character at most: the count never walks a long text.
fn too_long(text: &str, chars_max: usize) -> bool {
    text.len() > 4 * chars_max || text.chars().count() > chars_max
}

/// Control characters, and those that turn the direction of the text around them.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A small picture of a broadcast: JPEG, PNG or WebP, up to [`THUMBNAIL_BYTES_MAX`] bytes and
/// [`THUMBNAIL_SIDE_MAX`] pixels a side. Its kind and size are read from its bytes; what follows
/// is not decoded here. Cheap to clone; base64 as JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thumbnail {
    bytes: Bytes,
    picture: Picture,
}

impl Thumbnail {
    /// Reads kind and size.
    ///
    /// # Errors
    /// [`ListingError`] when it is too large, or no such picture.
    pub fn new(bytes: Bytes) -> Result<Self, ListingError> {
        if bytes.len() > THUMBNAIL_BYTES_MAX {
            return Err(ListingError::Bytes(bytes.len()));
        }
        let picture = Picture::read(&bytes).ok_or(ListingError::Kind)?;
        let Picture { width, height, .. } = picture;
        if width.max(height) > THUMBNAIL_SIDE_MAX {
            return Err(ListingError::Pixels(width, height));
        }
        Ok(Self { bytes, picture })
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it is.
    #[must_use]
    pub const fn picture(&self) -> Picture {
        self.picture
    }
}

impl Serialize for Thumbnail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for Thumbnail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| D::Error::custom(ListingError::Base64))?;
        Self::new(bytes.into()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
