use super::*;

/// Not a test but a measurement: `CCRUN_BENCH_TAR_GZ=x.tar.gz CCRUN_BENCH_DIR=dir cargo test --release
/// --target … bench -- --ignored --nocapture` does what a pull does after the download.
#[test]
#[ignore = "a measurement"]
fn bench_unpack() {
    use sha2::{Digest, Sha256};
    use std::io::Write;
    let Ok(archive) = std::env::var("CCRUN_BENCH_TAR_GZ") else { return };
    struct Hashing<R>(R, Sha256);
    impl<R: Read> Read for Hashing<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.update(&buffer[..count]);
            Ok(count)
        }
    }
    let open = move || crate::image::gzip::Inflate::new(Hashing(File::open(&archive).unwrap(), Sha256::new()));
    let start = std::time::Instant::now();
    let (mut inflate, mut total) = (open(), 0);
    loop {
        let count = inflate.fill_buf().unwrap().len();
        if count == 0 {
            break;
        }
        total += count;
        inflate.consume(count);
    }
    println!("inflate and sha256 of the gzip: {:?} for {total} bytes", start.elapsed());
    let start = std::time::Instant::now();
    let (mut inflate, mut plain) = (open(), Sha256::new());
    loop {
        let ready = inflate.fill_buf().unwrap();
        let count = ready.len();
        if count == 0 {
            break;
        }
        plain.update(ready);
        inflate.consume(count);
    }
    println!("the same and sha256 of the tar: {:?}", start.elapsed());
    let Ok(dir) = std::env::var("CCRUN_BENCH_DIR") else { return };
    let start = std::time::Instant::now();
    let (reader, writer) = fs::pipe2(0).unwrap();
    fs::set_pipe_size(writer.as_fd(), 1 << 20).unwrap();
    let inflating = std::thread::spawn(move || {
        let (mut inflate, mut plain, mut pipe) = (open(), Sha256::new(), File::from(writer));
        loop {
            let ready = inflate.fill_buf().unwrap();
            let count = ready.len();
            if count == 0 {
                break;
            }
            pipe.write_all(ready).unwrap();
            plain.update(ready);
            inflate.consume(count);
        }
    });
    let root = File::open(dir).unwrap();
    let unpacked = unpack(&mut File::from(reader), root.as_fd(), &Limits::default()).unwrap();
    inflating.join().unwrap();
    println!("all of it: {:?}: {unpacked:?}", start.elapsed());
}
