use crate::tensor::file::TensorFile;
use crate::tensor::write::{Entry, TensorWriter};
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

mod sources {
    use super::*;
    use crate::capture::source::FileSource;
    use crate::site::{CaptureSpec, Field, Kind, Objective, Sink, SiteId, Source};

    #[derive(Default)]
    struct Keep(Vec<(SiteId, Field, Vec<f64>)>);
    impl Sink for Keep {
        fn field(&mut self, site: SiteId, field: Field, tensor: Tensor) {
            self.0.push((site, field, tensor.to_f64()));
        }
        fn number(&mut self, _: &'static str, _: f64) {}
        fn rounding_noise(&mut self) {}
    }

    fn entry(key: &str, dims: &[usize]) -> Entry {
        Entry { key: key.into(), dtype: Dtype::F32, dims: dims.to_vec() }
    }

    /// A file as somebody would write it from another framework: keys and nothing else.
    fn plain_file(path: &Path, description: Option<&str>) {
        let entries = [
            entry("weight/h.10.fc.weight", &[2, 2]),
            entry("weight/h.2.fc.weight", &[2, 2]),
            entry("grad/loss/h.2.fc.weight", &[2, 2]),
            entry("act/h.2.act", &[1, 2, 1]),
        ];
        let meta: Vec<(&str, String)> = description.map(|d| ("lpz", d.to_owned())).into_iter().collect();
        let mut w = TensorWriter::create(path, &entries, &meta).unwrap();
        for (i, e) in entries.iter().enumerate() {
            let n = e.dims.iter().product::<usize>();
            let data: Vec<f32> = (0..n).map(|j| (10 * i + j) as f32).collect();
            w.write(&e.key, &Tensor::new(&e.dims, data)).unwrap();
        }
        w.finish().unwrap();
    }

    #[test]
    fn keys_alone_make_sites_in_natural_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        plain_file(&path, None);
        let mut source = FileSource::open(&path).unwrap();
        let names: Vec<_> =
            source.outline().sites.iter().map(|s| (s.kind, s.name.clone(), s.layer)).collect();
        let linear = |n: &str, l| (Kind::Linear, n.to_owned(), Some(l));
        assert_eq!(
            names,
            [
                linear("h.2.fc.weight", 2),
                linear("h.10.fc.weight", 10),
                (Kind::Act, "h.2.act".to_owned(), Some(2))
            ]
        );
        assert_eq!(source.default_objective(), Objective::Loss);
        let mut sink = Keep::default();
        let wants = [(0, Field::Weight), (0, Field::Grad), (2, Field::Value)];
        source.run(&CaptureSpec::default(), &wants, &mut sink).unwrap();
        assert_eq!(sink.0[0].2, [10.0, 11.0, 12.0, 13.0]);
        assert_eq!(sink.0[1].2, [20.0, 21.0, 22.0, 23.0]);
        let error = source.run(&CaptureSpec::default(), &[(1, Field::Grad)], &mut sink).unwrap_err();
        assert!(error.message.contains("grad/loss/h.10.fc.weight"), "{error}");
    }

    #[test]
    fn a_transposed_weight_is_handed_out_as_out_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let site = r#"{"sites": [{"kind": "linear", "name": "h.2.fc.weight", "roles": ["ffn"], "transposed": true,
            "fields": {"weight": [2, 2], "stored_weight": [2, 2]}}], "numbers": {"depth": 1}}"#;
        plain_file(&path, Some(site));
        let mut source = FileSource::open(&path).unwrap();
        let mut sink = Keep::default();
        source
            .run(&CaptureSpec::default(), &[(0, Field::Weight), (0, Field::StoredWeight)], &mut sink)
            .unwrap();
        assert_eq!(sink.0[0].2, [10.0, 12.0, 11.0, 13.0]);
        assert_eq!(sink.0[1].2, [10.0, 11.0, 12.0, 13.0]);
        assert_eq!(source.outline().numbers, [("depth", 1.0)]);
    }

    #[test]
    fn a_description_with_an_unknown_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        plain_file(&path, Some(r#"{"sites": [{"kind": "liner", "name": "x", "fields": {}}]}"#));
        let message = FileSource::open(&path).err().unwrap().message;
        assert!(message.contains("liner") && message.contains("t.safetensors"), "{message}");
    }
}
