//! What ties a SCRAM proof to a TLS connection: `tls-server-end-point`, a hash of the server's certificate (RFC 5929).
//!
//! Takes a certificate in DER and gives the hash by the algorithm that the certificate was signed with, MD5 and SHA-1
//! replaced by SHA-256. Must not know who asks for it or judge the certificate.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The hash among the parameters of RSASSA-PSS.
const PSS_HASH: u8 = 0xa0;

/// Object identifiers of algorithms: RSA with PKCS #1 (1.2.840.113549.1.1.*), ECDSA (1.2.840.10045.4.*), hashes alone.
const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
const SHA_2: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
const SHA_1: [u8; 5] = [0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// A hash that a certificate is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The hash of a certificate; none where its signature has no hash of its own (Ed25519) or cannot be read.
pub(super) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, signature }
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let (parts, _) = value(certificate, SEQUENCE)?;
    let (_, rest) = value(parts, SEQUENCE)?;
    let (algorithm, _) = value(rest, SEQUENCE)?;
    let (oid, parameters) = value(algorithm, OBJECT_IDENTIFIER)?;
    if let Some(rest) = oid.strip_prefix(&RSA) {
        return match rest {
            [0x0a] => pss_hash(parameters),
            [0x04 | 0x05 | 0x0b] => Some(Hash::Sha256),
            [0x0c] => Some(Hash::Sha384),
            [0x0d] => Some(Hash::Sha512),
            [0x0e] => Some(Hash::Sha224),
            _ => None,
        };
    }
    match oid.strip_prefix(&ECDSA)? {
        [0x01] | [0x03, 0x02] => Some(Hash::Sha256),
        [0x03, 0x01] => Some(Hash::Sha224),
        [0x03, 0x03] => Some(Hash::Sha384),
        [0x03, 0x04] => Some(Hash::Sha512),
        _ => None,
    }
}

/// The hash is SHA-1 where the parameters name none.
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = value(parameters, SEQUENCE)?;
    let Some((tagged, _)) = value(parameters, PSS_HASH) else { return Some(Hash::Sha256) };
    let (algorithm, _) = value(tagged, SEQUENCE)?;
    let (oid, _) = value(algorithm, OBJECT_IDENTIFIER)?;
    if oid == SHA_1 {
        return Some(Hash::Sha256);
    }
    match oid.strip_prefix(&SHA_2)? {
        [1] => Some(Hash::Sha256),
        [2] => Some(Hash::Sha384),
        [3] => Some(Hash::Sha512),
        [4] => Some(Hash::Sha224),
        _ => None,
    }
}

/// The value at the start of `der`, if it has this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Up to four bytes of length; a certificate is never longer.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 0x80);
        [&[tag, value.len() as u8], value].concat()
    }

    /// What matters of a certificate with this algorithm.
    fn certificate(oid: &[u8], parameters: &[u8]) -> Vec<u8> {
        let algorithm = wrapped(SEQUENCE, &[wrapped(OBJECT_IDENTIFIER, oid), parameters.to_vec()].concat());
        wrapped(SEQUENCE, &[wrapped(SEQUENCE, b"signed"), algorithm].concat())
    }

    #[test]
    fn the_signature_decides_the_hash_and_old_hashes_become_sha_256() {
        let rsa = |last: u8| [&RSA[..], &[last]].concat();
        let ecdsa = |last: &[u8]| [&ECDSA[..], last].concat();
        for (oid, hash) in [
            (rsa(4), Hash::Sha256),
            (rsa(5), Hash::Sha256),
            (rsa(11), Hash::Sha256),
            (rsa(12), Hash::Sha384),
            (rsa(13), Hash::Sha512),
            (ecdsa(&[1]), Hash::Sha256),
            (ecdsa(&[3, 2]), Hash::Sha256),
            (ecdsa(&[3, 3]), Hash::Sha384),
            (ecdsa(&[3, 4]), Hash::Sha512),
        ] {
            assert_eq!(signature_hash(&certificate(&oid, &[])), Some(hash), "{oid:x?}");
        }
        let named = |oid: &[u8]| {
            let algorithm = wrapped(SEQUENCE, &wrapped(OBJECT_IDENTIFIER, oid));
            wrapped(SEQUENCE, &wrapped(PSS_HASH, &algorithm))
        };
        for (parameters, hash) in [
            (wrapped(SEQUENCE, &[]), Hash::Sha256),
            (named(&SHA_1), Hash::Sha256),
            (named(&[&SHA_2[..], &[2]].concat()), Hash::Sha384),
            (named(&[&SHA_2[..], &[3]].concat()), Hash::Sha512),
        ] {
            assert_eq!(signature_hash(&certificate(&rsa(10), &parameters)), Some(hash));
        }
        // Ed25519 signs without a hash of its own.
        assert_eq!(tls_server_end_point(&certificate(&[0x2b, 0x65, 0x70], &[])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = tls_server_end_point(&bytes);
        }
    }
}
