//! The key of an anonymisation, and the keyed streams of numbers that everything is mapped with.
//!
//! Takes a key of 32 bytes; gives HMAC-SHA256 values and streams that follow from them. Must not know what is mapped.
//! The key is never shown.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The environment variable that holds a key where no file is named.
pub const KEY_VARIABLE: &str = "PGREHEARSE_ANONYMIZE_KEY";

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("could not read the key file \"{}\": {source}", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("could not create the key file \"{}\": {source}\nhint: an existing key is never overwritten", file.display())]
    Create { file: PathBuf, source: io::Error },
    #[error("{place} holds no key\ndetail: a key is 64 hexadecimal digits\nhint: --new-key FILE makes one")]
    NoKey { place: String },
    #[error(
        "no key is given\nhint: --key-file FILE, or {KEY_VARIABLE} in the environment; --new-key FILE makes a new key"
    )]
    Missing,
}

/// A key, ready for use: HMAC's two inner states are made once.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; KEY_BYTES],
    inner: Sha256,
    outer: Sha256,
}

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let [inner, outer] = pads(&bytes).map(Sha256::new_with_prefix);
        Self { bytes, inner, outer }
    }

    /// Reads a key; `place` says where it came from, for the error.
    ///
    /// # Errors
    /// The text is anything but 64 hexadecimal digits.
    pub fn parse(text: &str, place: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        let mut bytes = [0; KEY_BYTES];
        let is_key = digits.len() == 2 * KEY_BYTES && digits.iter().all(u8::is_ascii_hexdigit);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        if is_key { Ok(Self::new(bytes)) } else { Err(KeyError::NoKey { place: place.to_owned() }) }
    }

    /// Reads the key of a file, or of the environment where none is named.
    ///
    /// # Errors
    /// There is none, or it is no key.
    pub fn find(file: Option<&Path>) -> Result<Self, KeyError> {
        match (file, std::env::var(KEY_VARIABLE)) {
            (Some(file), _) => {
                let text = std::fs::read(file).map_err(|source| KeyError::Read { file: file.to_owned(), source })?;
                Self::parse(&String::from_utf8_lossy(&text), &format!("\"{}\"", file.display()))
            }
            (None, Ok(text)) => Self::parse(&text, KEY_VARIABLE),
            (None, Err(_)) => Err(KeyError::Missing),
        }
    }

    /// Makes a key from the system's random source and puts it into a new file that only its owner may read.
    ///
    /// # Errors
    /// The file exists or cannot be written, or there is no random source.
    pub fn create(file: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Create { file: file.to_owned(), source };
        let mut bytes = [0; KEY_BYTES];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).map_err(failed)?;
        let mut created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        created.write_all((text + "\n").as_bytes()).and_then(|()| created.sync_all()).map_err(failed)?;
        Ok(Self::new(bytes))
    }

    /// What HMAC puts before the inner and the outer message, in hexadecimal digits: as secret as the key.
    pub(super) fn prefixes(&self) -> [String; 2] {
        pads(&self.bytes).map(|pad| pad.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// HMAC-SHA256 of the parts, one after the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        parts.iter().for_each(|part| inner.update(part));
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// The first seven bytes of the HMAC as a number.
    pub(super) fn number(&self, parts: &[&[u8]]) -> u64 {
        self.mac(parts).iter().take(7).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// `count` numbers of sixteen bits: SHA-256 of the HMAC and a counter, block by block.
    pub(super) fn stream(&self, parts: &[&[u8]], count: usize) -> impl Iterator<Item = u32> + use<> {
        let seed = Sha256::new_with_prefix(self.mac(parts));
        let blocks = (0_u32..).flat_map(move |block| {
            let bytes: [u8; 32] = seed.clone().chain_update(block.to_be_bytes()).finalize().into();
            (0..16).map(move |at| u32::from(bytes[2 * at]) << 8 | u32::from(bytes[2 * at + 1]))
        });
        blocks.take(count)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key")
    }
}

fn pads(key: &[u8; KEY_BYTES]) -> [[u8; BLOCK_BYTES]; 2] {
    [0x36, 0x5c].map(|pad| std::array::from_fn(|at| key.get(at).copied().unwrap_or_default() ^ pad))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_hmac_sha256() {
        // RFC 4231, test case 2; a shorter key is one with zero bytes behind it.
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(b"Jefe");
        let mac = Key::new(bytes).mac(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        assert!(Key::parse(&format!("{}\n", "0f".repeat(32)), "x").is_ok());
        for text in ["", "secret", &"0f".repeat(31), &"0g".repeat(32)] {
            let error = Key::parse(text, "\"k\"").unwrap_err().to_string();
            assert!(error.starts_with("\"k\" holds no key") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_overwrites_none() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let made = Key::create(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::find(Some(&file)).unwrap().mac(&[]), made.mac(&[]));
        assert!(matches!(Key::create(&file), Err(KeyError::Create { .. })));
    }
}
