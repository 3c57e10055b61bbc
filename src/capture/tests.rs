use super::file::TensorFile;
use super::write::{Entry, TensorWriter};
use crate::tensor::{Dtype, Tensor};
use std::fs;
use std::path::Path;

fn write_two(path: &Path) {
    let entries = [
        Entry { key: "a/one".into(), dtype: Dtype::F32, dims: vec![2, 3] },
        Entry { key: "b/two".into(), dtype: Dtype::Bf16, dims: vec![5] },
        Entry { key: "c/number".into(), dtype: Dtype::F64, dims: vec![] },
    ];
    let mut w = TensorWriter::create(path, &entries, &[("lpz", "{\"x\": 1}".into())]).unwrap();
    // Order of writing is not the order of the header.
    w.write("c/number", &Tensor::number(0.1)).unwrap();
    w.write("b/two", &Tensor::new(&[5], vec![0.5f32, 1.0, -2.0, 4.0, 8.0])).unwrap();
    w.write("a/one", &Tensor::new(&[2, 3], vec![1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    w.finish().unwrap();
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    write_two(&path);
    let f = TensorFile::open(&path).unwrap();
    assert_eq!(f.keys(), ["a/one", "b/two", "c/number"]);
    assert_eq!(f.metadata("lpz"), Some("{\"x\": 1}"));
    assert_eq!(f.tensor("a/one").unwrap().to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(f.tensor("b/two").unwrap().to_f64(), [0.5, 1.0, -2.0, 4.0, 8.0]);
    assert_eq!(f.tensor("c/number").unwrap().item(), Some(0.1));
}

#[test]
fn every_flipped_byte_is_noticed_by_file_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    write_two(&path);
    let good = fs::read(&path).unwrap();
    let data = good.len() - (24 + 10 + 8);
    for (at, key) in [(data, "a/one"), (data + 24, "b/two"), (good.len() - 1, "c/number")] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let message = TensorFile::open(&path).unwrap().tensor(key).unwrap_err().message;
        assert!(message.contains("t.safetensors") && message.contains(key), "{message}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    write_two(&path);
    let good = fs::read(&path).unwrap();
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        let message = TensorFile::open(&path).err().map(|e| e.message);
        assert!(message.is_some_and(|m| m.contains("t.safetensors")), "{len} bytes were accepted");
    }
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let entry = Entry { key: "a".into(), dtype: Dtype::F32, dims: vec![1] };
    let w = TensorWriter::create(&path, &[entry], &[]).unwrap();
    assert!(w.finish().is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
