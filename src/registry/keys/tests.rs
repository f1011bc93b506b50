use super::*;

#[test]
fn a_key_is_claimed_settled_repeated_and_forgotten() {
    let memory = KeyMemory::default();
    let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
    assert_eq!(memory.claim(key, body, 100), KeyState::First);
    assert_eq!(memory.claim(key, body, 100), KeyState::InFlight);
    memory.settle(key, body, b"answer", 100);
    assert_eq!(memory.claim(key, body, 700), KeyState::Repeat(b"answer".as_slice().into()));
    assert_eq!(memory.claim(key, BodyDigest::of(b"other"), 700), KeyState::OtherBody);
    assert_eq!(memory.claim(key, body, 701), KeyState::First, "forgotten after ten minutes");
}

#[test]
fn a_released_key_is_new_again_and_a_settled_one_stays() {
    let memory = KeyMemory::default();
    let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
    assert_eq!(memory.claim(key, body, 100), KeyState::First);
    memory.release(key);
    assert_eq!(memory.claim(key, body, 100), KeyState::First);
    memory.settle(key, body, b"answer", 100);
    memory.release(key);
    assert_eq!(memory.claim(key, body, 100), KeyState::Repeat(b"answer".as_slice().into()));
}

#[test]
fn a_key_read_from_the_log_twice_is_remembered_as_the_second_time() {
    let memory = KeyMemory::default();
    let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
    memory.settle(key, body, b"first", 100);
    memory.settle(key, body, b"second", 800);
    assert_eq!(memory.claim(key, body, 900), KeyState::Repeat(b"second".as_slice().into()));
}

#[test]
fn the_oldest_keys_go_when_there_are_too_many_and_answers_are_kept_once() {
    let memory = KeyMemory::default();
    let body = BodyDigest::of(b"body");
    let key = |n: usize| KeyDigest::new(&n.to_le_bytes(), 0);
    for n in 0..KEYS_KEPT_MAX + 3 {
        memory.settle(key(n), body, if n % 2 == 0 { b"even" } else { b"odd" }, 100);
    }
    assert_eq!(memory.inner.lock().settled.answers.len(), 2);
    for n in 0..3 {
        assert_eq!(memory.claim(key(n), body, 100), KeyState::First, "key {n}");
    }
    for n in [3, 4, KEYS_KEPT_MAX + 2] {
        assert!(matches!(memory.claim(key(n), body, 100), KeyState::Repeat(_)), "key {n}");
    }
    assert_eq!(memory.claim(key(4), body, 701), KeyState::First);
    let inner = memory.inner.lock();
    assert_eq!((inner.settled.keys.len(), inner.settled.answer_bytes), (0, 0));
    assert!(inner.settled.answers.is_empty() && inner.settled.index.is_empty());
    assert!(inner.settled.keys.capacity() < KEYS_KEPT_MAX, "the memory was given back");
}

#[test]
fn the_oldest_keys_go_when_their_answers_are_too_long() {
    let memory = KeyMemory::default();
    let body = BodyDigest::of(b"body");
    let answer = vec![7; 64 << 20];
    for n in 0..5_u8 {
        memory.settle(KeyDigest::new(&[n], 0), body, &answer, 100);
    }
    assert_eq!(memory.claim(KeyDigest::new(&[0], 0), body, 100), KeyState::First);
    assert_ne!(memory.claim(KeyDigest::new(&[1], 0), body, 100), KeyState::First);
}

#[test]
fn lines_have_keys_of_their_own() {
    assert_ne!(KeyDigest::new(b"k", 1), KeyDigest::new(b"k", 2));
    let key = KeyDigest::new(b"k", 1);
    assert_eq!(KeyDigest::from_bytes(key.bytes()), Some(key));
    assert_eq!(KeyDigest::from_bytes(b"short"), None);
}
