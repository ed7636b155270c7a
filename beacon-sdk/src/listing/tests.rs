#![allow(clippy::unwrap_used)]

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const JPEG: &[u8] = include_bytes!("pictures/picture.jpg");
const PNG: &[u8] = include_bytes!("pictures/picture.png");
const LOSSY: &[u8] = include_bytes!("pictures/lossy.webp");
const LOSSLESS: &[u8] = include_bytes!("pictures/lossless.webp");

fn thumbnail(bytes: &'static [u8]) -> Result<Thumbnail, ListingError> {
    Thumbnail::new(Bytes::from_static(bytes))
}

fn about(title: &str, category: &str, tags: &[&str]) -> Result<About, ListingError> {
    About::new(title, category, tags.iter().map(|&tag| tag.to_owned()).collect())
}

#[test]
fn words_within_their_limits_are_taken() {
    let most: Vec<String> = (0..TAGS_MAX).map(|tag| format!("tag {tag}")).collect();
    let most: Vec<&str> = most.iter().map(String::as_str).collect();
    for (title, category, tags) in [
        ("", "", [].as_slice()),
        ("Das große Rennen – live! 🏁", "Sport", &["Formel 1", "C++", "R&B", "日本語", "it's"]),
        (&"é".repeat(TITLE_CHARS_MAX), &"x".repeat(WORD_CHARS_MAX), &most),
    ] {
        let listed = about(title, category, tags).unwrap();
        assert_eq!((listed.title(), listed.category()), (title, category));
        assert_eq!(listed.tags(), tags);
        let json = serde_json::to_string(&listed).unwrap();
        assert_eq!(serde_json::from_str::<About>(&json).unwrap(), listed);
    }
    assert_eq!(serde_json::from_str::<About>("{}").unwrap(), About::default());
}

#[test]
fn what_does_not_fit_a_list_is_refused() {
    for title in
        [&"x".repeat(TITLE_CHARS_MAX + 1), "two\nlines", "\u{202e}turned", " led", "bell\u{7}"]
    {
        assert_eq!(about(title, "", &[]), Err(ListingError::Title), "{title:?}");
    }
    for word in [&"x".repeat(WORD_CHARS_MAX + 1), " ", "-", "<b>", "a/b", "a\"b", "end ", "a,b"] {
        assert!(matches!(about("", word, &[]), Err(ListingError::Word(_))), "{word:?}");
        assert!(matches!(about("", "", &[word]), Err(ListingError::Word(_))), "{word:?}");
    }
    assert!(matches!(about("", "", &[""]), Err(ListingError::Word(_))));
    let many = ["a"; TAGS_MAX + 1];
    assert_eq!(about("", "", &many), Err(ListingError::Tags(TAGS_MAX + 1)));
    assert_eq!(about("", "", &["Über", "über"]), Err(ListingError::Twice("über".into())));
    let refused = serde_json::from_str::<About>(r#"{"tags":["<b>"]}"#).unwrap_err().to_string();
    assert!(refused.contains("<b>") && refused.contains("letters, digits"), "{refused}");
}

#[test]
fn pictures_are_known_by_their_bytes() {
    for (bytes, media_type) in
        [(JPEG, "image/jpeg"), (PNG, "image/png"), (LOSSY, "image/webp"), (LOSSLESS, "image/webp")]
    {
        let picture = Picture { media_type, width: 32, height: 18 };
        let read = thumbnail(bytes).unwrap();
        assert_eq!(read.picture(), picture);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Thumbnail>(&json).unwrap(), read);
    }
    for other in [b"".as_slice(), b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n"] {
        assert_eq!(thumbnail(other), Err(ListingError::Kind), "{other:?}");
    }
    // The extended layout of WebP: flags, then both sides less one.
    let extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x3f\x01\0\xb3\0\0";
    let Picture { width, height, .. } = thumbnail(extended).unwrap().picture();
    assert_eq!((width, height), (320, 180));
}

#[test]
fn large_pictures_are_refused_by_bytes_and_by_pixels() {
    let mut long = JPEG.to_vec();
    long.resize(THUMBNAIL_BYTES_MAX, 0);
    assert!(Thumbnail::new(long.clone().into()).is_ok());
    long.push(0);
    assert_eq!(Thumbnail::new(long.into()), Err(ListingError::Bytes(THUMBNAIL_BYTES_MAX + 1)));
    let mut wide = PNG.to_vec();
    wide[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    assert_eq!(Thumbnail::new(wide.into()), Err(ListingError::Pixels(30_000, 18)));
}

proptest! {
    #[test]
    fn damaged_pictures_never_panic(
        which in 0..4_usize, cut in 0..200_usize, damage in vec((0..200_usize, any::<u8>()), 0..8)
    ) {
        let mut bytes = [JPEG, PNG, LOSSY, LOSSLESS][which].to_vec();
        bytes.truncate(bytes.len().saturating_sub(cut));
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(read) = Thumbnail::new(bytes.into()) {
            prop_assert!(read.picture().width.max(read.picture().height) <= THUMBNAIL_SIDE_MAX);
        }
    }

    #[test]
    fn any_text_is_listed_as_it_is_or_refused(title in ".{0,120}", word in ".{0,40}") {
        if let Ok(listed) = About::new(title.clone(), word.clone(), vec![]) {
            prop_assert_eq!(listed.title(), title);
            prop_assert_eq!(listed.category(), word);
        }
    }
}
