use super::*;

fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn bytes_give_disjoint_windows_and_next_tokens() {
    let bytes: Vec<u8> = (0..101).collect();
    let (_dir, path) = file(&bytes);
    let tokens = Tokens::Text(Text::open(&path, None).unwrap());
    let mut all = Vec::new();
    for index in 0..5 {
        let b = tokens.batch(index, 2, 10, 256, 7).unwrap();
        assert_eq!(b, tokens.batch(index, 2, 10, 256, 7).unwrap());
        let next: Vec<u32> = b.ids.iter().map(|i| i + 1).collect();
        assert_eq!(b.labels, Some(next));
        assert_eq!(b.sample(1).ids, b.ids[10..]);
        all.extend(b.ids);
    }
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u32>>());
    assert_ne!(tokens.batch(0, 2, 10, 256, 7).unwrap(), tokens.batch(0, 2, 10, 256, 8).unwrap());
}

#[test]
fn a_tokenizer_file_is_used() {
    let words = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
        "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"WordLevel","vocab":{"[UNK]":0,"to":1,"be":2,"or":3,"not":4},"unk_token":"[UNK]"}}"#;
    let (_dir, tokenizer) = file(words.as_bytes());
    let (_dir2, path) = file(b"to be or not to be");
    let text = Text::open(&path, Some(&tokenizer)).unwrap();
    assert_eq!(text.tokens(), [1, 2, 3, 4, 1, 2]);
    let message = text.batch(0, 1, 4, 4, 0).unwrap_err().message;
    assert!(message.contains("token \"not\"") && message.contains("vocabulary has 4"), "{message}");
    let (_dir3, latin) = file(b"na\xefve");
    assert!(Text::open(&latin, Some(&tokenizer)).unwrap_err().message.contains("not UTF-8"));
    assert!(Text::open(&path, Some(&path)).unwrap_err().message.contains("not a tokenizer"));
}

#[test]
fn bad_text_is_an_error() {
    let (_dir, path) = file(b"zebra");
    let text = Text::open(&path, None).unwrap();
    let message = text.batch(0, 1, 3, 100, 0).unwrap_err().message;
    assert!(message.contains("byte 0x7a ('z')"), "{message}");
    let message = text.batch(0, 2, 3, 256, 0).unwrap_err().message;
    assert!(message.contains("holds 5 tokens") && message.contains("needs 7"), "{message}");
    assert!(Text::open(Path::new("/no/such/file"), None).unwrap_err().message.contains("cannot read"));
    let (_dir, empty) = file(b"");
    assert!(Text::open(&empty, None).unwrap().batch(0, 1, 1, 256, 0).is_err());
}

#[test]
fn random_tokens_fill_the_vocabulary() {
    let b = Tokens::Random.batch(0, 4, 64, 11, 0).unwrap();
    assert_eq!(b.ids.len(), 256);
    assert_eq!(b.ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 11);
    assert_eq!(b.ids[1..64], b.labels.as_ref().unwrap()[..63]);
    assert_ne!(b.ids, Tokens::Random.batch(1, 4, 64, 11, 0).unwrap().ids);
}

#[test]
fn files_of_ids_are_checked() {
    let write = |ids: &[i64], dims: Vec<usize>| {
        let bytes: Vec<u8> = ids.iter().flat_map(|i| i.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, dims, &bytes).unwrap();
        file(&safetensors::serialize([("input_ids", view)], None).unwrap())
    };
    let (_dir, path) = write(&[1, 2, 3, 4, 5, 6], vec![2, 3]);
    let batch = Batch::read(&path).unwrap();
    assert_eq!((batch.batch, batch.seq, batch.ids.as_slice()), (2, 3, &[1, 2, 3, 4, 5, 6][..]));
    let message = batch.check_vocab(6).unwrap_err().message;
    assert!(message.contains("token 6 (sequence 1, position 2)"), "{message}");
    assert!(Tokens::File(batch).batch(1, 2, 3, 9, 0).is_err());
    let (_dir, path) = write(&[1, -2], vec![1, 2]);
    assert!(Batch::read(&path).unwrap_err().message.contains("number 1 is -2"));
    let (_dir, path) = write(&[1, 2], vec![2]);
    assert!(Batch::read(&path).unwrap_err().message.contains("not [batch, seq]"));
}
