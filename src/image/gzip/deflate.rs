//! Compresses to one gzip member, fast rather than small.

use super::crc::Crc;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};
use std::io::{self, Write};

/// zlib's fastest level that still looks for repetitions.
const FASTEST: i32 = 1;
/// A window of 32 KiB; negative: no zlib header.
const RAW: i32 = -15;

/// Writes what is written to it to `out`, compressed. Nothing is whole before [`finish`](Deflate::finish).
pub struct Deflate<W> {
    out: W,
    compressor: Box<CompressorOxide>,
    crc: Crc,
    length: u32,
}

impl<W: Write> Deflate<W> {
    pub fn new(mut out: W) -> io::Result<Deflate<W>> {
        // RFC 1952: deflate, no flags, no time, the fastest algorithm, no system that matters.
        out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])?;
        let flags = create_comp_flags_from_zip_params(FASTEST, RAW, 0);
        Ok(Deflate { out, compressor: Box::new(CompressorOxide::new(flags)), crc: Crc::default(), length: 0 })
    }

    /// Writes the end; gives back where all of it went.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress(&[], TDEFLFlush::Finish)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.length.to_le_bytes())?;
        Ok(self.out)
    }

    fn compress(&mut self, bytes: &[u8], flush: TDEFLFlush) -> io::Result<()> {
        let (out, mut written) = (&mut self.out, Ok(()));
        let (status, _) = compress_to_output(&mut self.compressor, bytes, flush, |piece| {
            written = out.write_all(piece);
            written.is_ok()
        });
        written?;
        match status {
            TDEFLStatus::Okay | TDEFLStatus::Done => Ok(()),
            // Only after a write that failed.
            _ => Err(io::Error::other("gzip stream: written to after a failure")),
        }
    }
}

impl<W: Write> Write for Deflate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.compress(bytes, TDEFLFlush::None)?;
        self.crc.update(bytes);
        self.length = self.length.wrapping_add(bytes.len() as u32);
        Ok(bytes.len())
    }

    /// Gives nothing to the reader: what is inside the compressor comes out at the end.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
