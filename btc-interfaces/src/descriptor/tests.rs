//! Facts from BIPs 32, 44, 84, 86 and 380 to 386, and from wallets that Core wrote.

use super::*;
use bitcoin::secp256k1::SecretKey;

fn parse(text: &str) -> Parsed {
    Descriptor::parse(text, Network::Regtest, false).expect("a valid descriptor")
}

fn first_script(text: &str, network: Network) -> String {
    let parsed = Descriptor::parse(text, network, false).expect("a valid descriptor");
    let expansion = parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut KeyCache::default())
        .expect("it expands");
    expansion.scripts[0].script_pubkey.to_hex_string()
}

#[test]
fn checksums_of_bip_380() {
    assert_eq!(checksum("raw(deadbeef)").as_deref(), Some("89f8spxm"));
    assert_eq!(checksum("raw(ü)"), None);
    let error = |text| Descriptor::parse(text, Network::Bitcoin, true).expect_err("it is wrong");
    assert_eq!(error("raw(deadbeef)"), DescriptorError::MissingChecksum);
    assert_eq!(error("raw(deadbeef)#"), DescriptorError::ChecksumLength(0));
    assert_eq!(
        error("raw(deadbeef)#89f8spxmx"),
        DescriptorError::ChecksumLength(9)
    );
    assert_eq!(
        error("raw(deadbeef)##9f8spxm"),
        DescriptorError::SeveralChecksums
    );
    assert_eq!(
        error("raw(deedbeef)#89f8spxm").to_string(),
        "Provided checksum '89f8spxm' does not match computed checksum 'qrlr6k4c'".replace(
            "qrlr6k4c",
            &checksum("raw(deedbeef)").expect("valid characters")
        )
    );
}

#[test]
fn scripts_of_bips_381_to_386() {
    let key = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1";
    let public = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd";
    for (text, script) in [
        (format!("pk({key})"), format!("21{public}ac")),
        (format!("pkh({key})"), "76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac".into()),
        (format!("wpkh({public})"), "00149a1c78a507689f6f54b847ad1cef1e614ee23f1e".into()),
        (format!("sh(wpkh({key}))"), "a91484ab21b1b2fd065d4504ff693d832434b6108d7b87".into()),
        (format!("sh(pk({public}))"), "a9141857af51a5e516552b3086430fd8ce55f7c1a52487".into()),
        (format!("wsh(pk({key}))"), "00202e271faa2325c199d25d22e1ead982e45b64eeb4f31e73dbdf41bd4b5fec23fa".into()),
        (format!("sh(wsh(pkh({key})))"), "a914b61b92e2ca21bac1e72a3ab859a742982bea960a87".into()),
        (
            "tr(a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd)".into(),
            "512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11".into(),
        ),
        (
            "sh(multi(2,[00000000/111'/222]xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL,xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y/0))".into(),
            "a91445a9a622a8b0a1269944be477640eedc447bbd8487".into(),
        ),
    ] {
        assert_eq!(first_script(&text, Network::Bitcoin), script, "{text}");
    }
}

#[test]
fn addresses_of_bips_84_and_86() {
    // The master key of the mnemonic "abandon … about" that both BIPs use.
    let master = "xprv9s21ZrQH143K3GJpoapnV8SFfukcVBSfeCficPSGfubmSFDxo1kuHnLisriDvSnRRuL2Qrg5ggqHKNVpxR86QEC8w35uxmGoggxtQTPvfUu";
    let script = |text: String| {
        let script = first_script(&text, Network::Bitcoin);
        let script = ScriptBuf::from_hex(&script).expect("hex");
        Address::from_script(&script, Network::Bitcoin)
            .expect("an address")
            .to_string()
    };
    assert_eq!(
        script(format!("wpkh({master}/84h/0h/0h/0/*)")),
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
    );
    assert_eq!(
        script(format!("tr({master}/86'/0'/0'/0/*)")),
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
    );
}

#[test]
fn private_and_normalized_forms() {
    let root = "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK";
    let parsed = parse(&format!("wpkh({root}/84'/1h/0'/1/*)"));
    let public = parsed.descriptor.to_string();
    assert!(!public.contains("prv") && public.contains("/84'/1'/0'/1/*)#"));
    let private = parsed
        .descriptor
        .to_private_string(&parsed.secrets)
        .expect("keys are there");
    assert!(private.contains(root));

    let none = SecretKeys::new(bitcoin::NetworkKind::Test);
    let mut cache = KeyCache::default();
    assert_eq!(
        parsed.descriptor.expand(3, &none, &mut cache),
        Err(DescriptorError::MissingPrivateKey)
    );
    let expanded = parsed
        .descriptor
        .expand(3, &parsed.secrets, &mut cache)
        .expect("it expands");
    let normalized = parsed
        .descriptor
        .to_normalized_string(&none, &cache)
        .expect("the cache has it");
    // The normalized form gives the same scripts, without any private key.
    let again = parse(&normalized);
    let same = again
        .descriptor
        .expand(3, &none, &mut KeyCache::default())
        .expect("public steps");
    assert_eq!(same.scripts, expanded.scripts);
    assert_eq!(same.keys, expanded.keys);
    assert_eq!(
        parsed.descriptor.expand_cached(3, &cache),
        Ok(Some(expanded))
    );
    assert_eq!(
        parsed.descriptor.expand_cached(3, &KeyCache::default()),
        Ok(None)
    );
}

#[test]
fn secrets_are_not_shown() {
    let secret = SecretKey::from_slice(&[7; 32]).expect("in range");
    let wif = Secret::new(secret, true).to_wif(bitcoin::NetworkKind::Test);
    let parsed = parse(&format!("pkh({wif})"));
    assert_eq!(format!("{:?}", parsed.secrets), "SecretKeys(1 keys)");
    let mistyped = format!("pkh({wif}0)");
    let error = Descriptor::parse(&mistyped, Network::Regtest, false).expect_err("not a key");
    assert!(!error.to_string().contains(&wif[..8]), "{error}");
}

#[test]
fn refusals() {
    let xpub = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    for (text, message) in [
        ("", "'' is not a valid descriptor function"),
        ("wpkh()", "wpkh(): No key provided"),
        (
            "sh(sh(pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)))",
            "Can only have sh() at top level",
        ),
        (
            "wsh(wpkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5))",
            "Can only have wpkh() at top level or inside sh()",
        ),
        (
            "multi(0,02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)",
            "Multisig threshold cannot be 0, must be at least 1",
        ),
        (
            "wpkh([00zz0000]02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)",
            "wpkh(): Fingerprint '00zz0000' is not hex",
        ),
        ("raw(zz)", "Raw script is not hex"),
        (
            "multi(+1,02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)",
            "Multi threshold '+1' is not valid",
        ),
        (
            "tr(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5,{pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5))",
            "tr(): expected ',' after script expression",
        ),
        (
            "tr(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5,multi(1,02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5))",
            "Can only have multi/sortedmulti at top level, in sh(), or in wsh()",
        ),
        (
            "sh(and_v(v:pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5),older(5)))",
            "Miniscript expressions can only be used in wsh or tr.",
        ),
        (
            "wsh(older(5))",
            "older(5) is not sane: witnesses without signature exist",
        ),
        (
            "wsh(and_v(v:pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5),pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)))",
            "and_v(v:pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5),pk(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)) is not sane: contains duplicate public keys",
        ),
        ("wsh(zz)", "A function is needed within P2WSH"),
        (
            "pk(musig(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5))",
            "pk(): musig() is only allowed in tr() and rawtr()",
        ),
        (
            "addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)",
            "Address is not valid",
        ),
        (
            "tr(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5,pk(02))",
            "pk(): Pubkey '02' is invalid",
        ),
    ] {
        let error = Descriptor::parse(text, Network::Regtest, false).expect_err(text);
        assert_eq!(error.to_string(), message);
    }
    for (path, message) in [
        (
            "/2147483648",
            "wpkh(): Key path value 2147483648 is out of range",
        ),
        ("/-1", "wpkh(): Key path value '-1' is not a valid uint32"),
        (
            "/4294967296",
            "wpkh(): Key path value '4294967296' is not a valid uint32",
        ),
        ("//1", "wpkh(): Key path value '' is not a valid uint32"),
        ("/<0;1>/*", "Multipath descriptor not accepted"),
    ] {
        let error = Descriptor::parse(&format!("wpkh({xpub}{path})"), Network::Regtest, false)
            .expect_err(path);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn multipath_steps_stand_for_several_descriptors() {
    let xpub = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    let texts = |text: &str| -> Result<Vec<String>, DescriptorError> {
        let parsed = Descriptor::parse_multipath(text, Network::Regtest, false)?;
        let payload = |text: String| {
            text.split('#')
                .next()
                .unwrap_or_default()
                .replace(xpub, "X")
        };
        Ok(parsed
            .iter()
            .map(|parsed| payload(parsed.descriptor.to_string()))
            .collect())
    };
    assert_eq!(texts(&format!("wpkh({xpub}/1)")).unwrap(), ["wpkh(X/1)"]);
    assert_eq!(
        texts(&format!("wpkh({xpub}/<0;1;5>/*)")).unwrap(),
        ["wpkh(X/0/*)", "wpkh(X/1/*)", "wpkh(X/5/*)"]
    );
    assert_eq!(
        texts(&format!(
            "wsh(multi(1,{xpub}/<1;2>/*,{xpub}/7,{xpub}/<3;4>))"
        ))
        .unwrap(),
        ["wsh(multi(1,X/1/*,X/7,X/3))", "wsh(multi(1,X/2/*,X/7,X/4))"]
    );
    for (text, message) in [
        (
            format!("wpkh([deadbeef/<0;1>]{xpub})"),
            "wpkh(): Key path value '<0;1>' specifies multipath in a section where multipath is not allowed",
        ),
        (
            format!("wpkh({xpub}/<0;1>/<2;3>)"),
            "wpkh(): Multiple multipath key path specifiers found",
        ),
        (
            format!("wpkh({xpub}/<0>)"),
            "wpkh(): Multipath key path specifiers must have at least two items",
        ),
        (
            format!("wpkh({xpub}/<0;1;0>)"),
            "wpkh(): Duplicated key path value 0 in multipath specifier",
        ),
        (
            format!("wpkh({xpub}/<0;>)"),
            "wpkh(): Key path value '' is not a valid uint32",
        ),
        (
            format!("wsh(multi(1,{xpub}/<0;1>,{xpub}/<0;1;2>))"),
            "multi(): Multipath derivation paths have mismatched lengths",
        ),
    ] {
        assert_eq!(texts(&text).unwrap_err().to_string(), message);
    }
}

#[test]
fn inference_finds_the_descriptor_again() {
    let xpub = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    for text in [
        format!("pk({xpub}/0/*)"),
        format!("pkh([deadbeef/44h]{xpub}/0/*)"),
        format!("wpkh({xpub}/0/*)"),
        format!("sh(wpkh({xpub}/0/*))"),
        format!("tr({xpub}/0/*)"),
        format!("wsh(multi(2,{xpub}/0/*,{xpub}/1/*))"),
    ] {
        let parsed = parse(&text);
        let expanded = parsed
            .descriptor
            .expand(5, &parsed.secrets, &mut KeyCache::default())
            .expect("public steps");
        let inferred = Descriptor::infer(&expanded.scripts[0], &expanded.keys, Network::Regtest);
        assert!(inferred.is_solvable(), "{inferred}");
        let again = parse(&inferred.to_string());
        let same = again
            .descriptor
            .expand(0, &again.secrets, &mut KeyCache::default())
            .expect("single keys");
        assert_eq!(same.scripts, expanded.scripts);
        assert_eq!(
            same.keys.iter().map(|k| &k.origin).collect::<Vec<_>>(),
            expanded.keys.iter().map(|k| &k.origin).collect::<Vec<_>>()
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z0-9(){}\\[\\]/*'h,#<;>]{0,80}") {
        let _ = Descriptor::parse_multipath(&text, Network::Regtest, false);
    }
}

const G2: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
const G3: &str = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";

#[test]
fn trees_and_miniscript_are_written_as_they_were_read() {
    for text in [
        format!("tr({G2},pk({G3}))"),
        format!("tr({G2},{{pk({G3}),{{multi_a(1,{G2},{G3}),sortedmulti_a(2,{G2},{G3})}}}})"),
        format!("tr({G2},{{{{pk({G3}),pk({G2})}},and_v(v:pk({G3}),older(5))}})"),
        format!("wsh(andor(pk({G2}),older(10),pk({G3})))"),
        format!("sh(wsh(and_v(v:pkh({G2}),after(500000001))))"),
        format!("unused({G2})"),
    ] {
        let parsed = parse(&text);
        let written = parsed.descriptor.to_string();
        assert_eq!(written.split('#').next(), Some(text.as_str()));
    }
    // Sugar is written as everybody does.
    let parsed = parse(&format!("wsh(c:pk_k({G2}))"));
    assert!(parsed.descriptor.to_string().starts_with("wsh(pk("));
}

#[test]
fn a_tree_is_inferred_from_what_an_output_commits_to() {
    let x = |key: &str| key[2..].to_owned();
    let text = format!(
        "tr({},{{pk({}),and_v(v:pk({}),older(5))}})",
        x(G2),
        x(G3),
        x(G2)
    );
    let parsed = parse(&text);
    let expansion = parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut KeyCache::default())
        .unwrap();
    let inferred = Descriptor::infer(&expansion.scripts[0], &expansion.keys, Network::Regtest);
    assert_eq!(inferred, parsed.descriptor);
    let text = format!("wsh(and_v(v:pkh({G2}),older(5)))");
    let parsed = parse(&text);
    let expansion = parsed
        .descriptor
        .expand(0, &parsed.secrets, &mut KeyCache::default())
        .unwrap();
    let inferred = Descriptor::infer(&expansion.scripts[0], &expansion.keys, Network::Regtest);
    assert_eq!(inferred.to_string(), parsed.descriptor.to_string());
}
