//! `fetch models`: the models of the fixture manifest, from a folder or by download.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::{Context, Failure};
use crate::fixture_manifest::{self, Model};
use crate::pin::{self, Pin};
use crate::workspace;

use super::download::{Transport, download};

/// The options of `fetch models`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Take the files from this folder, by name, and download nothing
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The file names of the models to fetch; all of the manifest if none is given
    names: Vec<String>,
}

/// Runs `cargo xtask fetch models`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = workspace::root();
    let models = fixture_manifest::read(&root)?.model;
    let wanted = select(&models, &arguments.names)?;
    let source = match &arguments.from {
        Some(folder) => Source::Folder(folder),
        None => Source::Address(Transport::Https),
    };
    let cache = root.join(".cache/models");
    let mut absent = 0;
    let mut failed = 0;
    for model in &wanted {
        match fetch(model, &source, &cache) {
            Ok(Fetched::Cached) => println!("cached  {}", model.name),
            Ok(Fetched::New) => println!("fetched {}", model.name),
            Ok(Fetched::Absent(reason)) => {
                absent += 1;
                println!("absent  {}: {reason}", model.name);
            }
            Err(failure) => {
                failed += 1;
                println!("failed  {}: {failure}", model.name);
            }
        }
    }
    // A model that was asked for by name, or a call that brings nothing, is not to pass quietly.
    if failed > 0 || (absent > 0 && !arguments.names.is_empty()) || absent == wanted.len() {
        return Err(Failure::new(format!(
            "{} of {} models not fetched into {}",
            failed + absent,
            wanted.len(),
            cache.display()
        )));
    }
    println!("{} of {} models in {}", wanted.len() - absent, wanted.len(), cache.display());
    Ok(())
}

/// Where models come from.
enum Source<'a> {
    Folder(&'a Path),
    Address(Transport),
}

/// What became of one model.
#[derive(Debug, PartialEq)]
enum Fetched {
    /// It was there already, with the right content.
    Cached,
    /// It is there now.
    New,
    /// The source does not have it.
    Absent(String),
}

/// The models called `names`, or all of them.
fn select<'a>(models: &'a [Model], names: &[String]) -> Result<Vec<&'a Model>, Failure> {
    if names.is_empty() {
        return Ok(models.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            models.iter().find(|model| model.name == *name).ok_or_else(|| {
                let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
                Failure::new(format!("no model {name}; known: {}", known.join(", ")))
            })
        })
        .collect()
}

fn fetch(model: &Model, source: &Source<'_>, cache: &Path) -> Result<Fetched, Failure> {
    let destination = cache.join(&model.name);
    if model.pin.matches_file(&destination) {
        return Ok(Fetched::Cached);
    }
    match source {
        Source::Folder(folder) => {
            let path = folder.join(&model.name);
            if !path.is_file() {
                return Ok(Fetched::Absent(format!("not in {}", folder.display())));
            }
            let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
            model.pin.check(&Pin::of_bytes(&bytes), &path.display().to_string())?;
            pin::publish(&bytes, &destination)?;
            Ok(Fetched::New)
        }
        Source::Address(transport) => match &model.url {
            Some(url) => download(url, &destination, &model.pin, *transport).map(|()| Fetched::New),
            None => Ok(Fetched::Absent(format!(
                "it has no public address ({}); use --from DIR",
                model.source
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, content: &[u8], url: Option<&str>) -> Model {
        Model {
            name: name.to_owned(),
            purpose: "test".to_owned(),
            source: "this test".to_owned(),
            licence: "CC0-1.0".to_owned(),
            url: url.map(str::to_owned),
            pin: Pin::of_bytes(content),
        }
    }

    #[test]
    fn a_model_is_taken_from_a_folder_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::write(folder.path().join("a.tflite"), b"model a").unwrap();
        let model = model("a.tflite", b"model a", None);
        let source = Source::Folder(folder.path());
        assert_eq!(fetch(&model, &source, &cache).unwrap(), Fetched::New);
        assert_eq!(fs::read(cache.join("a.tflite")).unwrap(), b"model a");

        fs::remove_file(folder.path().join("a.tflite")).unwrap();
        assert_eq!(fetch(&model, &source, &cache).unwrap(), Fetched::Cached);
    }

    #[test]
    fn a_model_with_other_content_is_refused_and_not_visible() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::write(folder.path().join("a.tflite"), b"model b").unwrap();
        let model = model("a.tflite", b"model a", None);
        let failure = fetch(&model, &Source::Folder(folder.path()), &cache).unwrap_err();
        assert!(failure.to_string().contains("is refused"), "{failure}");
        assert!(!cache.join("a.tflite").exists());
    }

    #[test]
    fn a_spoilt_cached_model_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("a.tflite"), b"spoilt").unwrap();
        fs::write(folder.path().join("a.tflite"), b"model a").unwrap();
        let model = model("a.tflite", b"model a", None);
        let fetched = fetch(&model, &Source::Folder(folder.path()), &cache).unwrap();
        assert_eq!(fetched, Fetched::New);
        assert_eq!(fs::read(cache.join("a.tflite")).unwrap(), b"model a");
    }

    #[test]
    fn a_cached_model_opens_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.tflite"), b"model a").unwrap();
        // Port 9 of this machine answers nothing, so a connection would be an error.
        let model = model("a.tflite", b"model a", Some("http://127.0.0.1:9/a.tflite"));
        let source = Source::Address(Transport::Loopback);
        assert_eq!(fetch(&model, &source, folder.path()).unwrap(), Fetched::Cached);
    }

    #[test]
    fn a_model_without_an_address_is_reported_absent() {
        let folder = tempfile::tempdir().unwrap();
        let model = model("a.tflite", b"model a", None);
        let fetched = fetch(&model, &Source::Address(Transport::Loopback), folder.path()).unwrap();
        let Fetched::Absent(reason) = fetched else { panic!("{fetched:?}") };
        assert!(reason.contains("--from DIR"), "{reason}");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let models = [model("a.tflite", b"a", None), model("b.tflite", b"b", None)];
        let failure = select(&models, &["c.tflite".to_owned()]).unwrap_err().to_string();
        assert_eq!(failure, "no model c.tflite; known: a.tflite, b.tflite");
        assert_eq!(select(&models, &["b.tflite".to_owned()]).unwrap()[0].name, "b.tflite");
        assert_eq!(select(&models, &[]).unwrap().len(), 2);
    }

    #[test]
    fn every_listed_address_is_https_and_every_name_a_plain_file_name() {
        let models = fixture_manifest::read(&workspace::root()).unwrap().model;
        assert!(models.len() >= 10, "{}", models.len());
        for model in &models {
            assert!(!model.name.contains(['/', '\\']), "{}", model.name);
            if let Some(url) = &model.url {
                assert!(url.starts_with("https://"), "{url}");
                assert!(url.ends_with(&format!("/{}", model.name)), "{url}");
            }
        }
    }
}
