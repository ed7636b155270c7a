//! [`Plain`]: the erasure code that is none.

use crate::plugin::{ErasureCode, ErasureError, Layout};
use bytes::{Bytes, BytesMut};

/// Makes no repair symbols; a segment is whole when all its source symbols are there. Code 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl ErasureCode for Plain {
    fn id(&self) -> u8 {
        0
    }

    fn repair(
        &mut self,
        layout: &Layout,
        payload: &[u8],
        esis: &[u16],
    ) -> Result<Vec<Bytes>, ErasureError> {
        let want = layout.padded_len();
        if payload.len() != want {
            return Err(ErasureError::Length { got: payload.len(), want });
        }
        match esis.first() {
            Some(esi) => Err(ErasureError::Symbol(*esi)),
            None => Ok(Vec::new()),
        }
    }

    fn recover(
        &mut self,
        layout: &Layout,
        symbols: &[(u16, Bytes)],
    ) -> Result<Option<Bytes>, ErasureError> {
        let mut slots = vec![None; usize::from(layout.source())];
        for (esi, symbol) in symbols {
            let (got, want) = (symbol.len(), layout.symbol_size());
            if got != want {
                return Err(ErasureError::Length { got, want });
            }
            if *esi >= layout.total() {
                return Err(ErasureError::Symbol(*esi));
            }
            if let Some(slot) = slots.get_mut(usize::from(*esi)) {
                *slot = Some(symbol);
            }
        }
        let Some(source) = slots.into_iter().collect::<Option<Vec<&Bytes>>>() else {
            return Ok(None);
        };
        let mut payload = BytesMut::with_capacity(layout.padded_len());
        source.into_iter().for_each(|symbol| payload.extend_from_slice(symbol));
        Ok(Some(payload.freeze()))
    }
}
