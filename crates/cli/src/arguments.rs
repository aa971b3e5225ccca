//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use image_embedder::preprocess::{
    PreprocessMode, ResizePolicy, YuvColorSpace, YuvMatrix, YuvRange,
};
use image_embedder::{OutOfBounds, RegionOfInterest};

use crate::backend::BackendName;
use crate::metadata::MetadataArguments;
use crate::picture::RawArguments;

/// Embeds and compares images with TensorFlow Lite models.
#[derive(Debug, Parser)]
#[command(name = "imgembed", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print how alike two images are, from -1 to 1.
    Compare(CompareArguments),
    /// Print the feature vector of an image.
    Embed(EmbedArguments),
    /// Show how the embedding of an image comes about, stage by stage.
    Explain(ExplainArguments),
    /// Print what a model file contains and which backends can run it.
    Inspect(InspectArguments),
    /// Show or change a model's metadata.
    Metadata(MetadataArguments),
    /// Print how long each step of a model takes on the native backend.
    #[cfg(feature = "native")]
    Profile(ProfileArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CompareArguments {
    /// An image: JPEG, PNG, WebP, BMP, GIF or TIFF, or with --raw a raw frame.
    #[arg(value_name = "A")]
    pub(crate) left: PathBuf,
    /// Another image.
    #[arg(value_name = "B")]
    pub(crate) right: PathBuf,
    #[command(flatten)]
    pub(crate) embedder: EmbedderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct EmbedArguments {
    /// An image: JPEG, PNG, WebP, BMP, GIF or TIFF, or with --raw a raw frame.
    pub(crate) image: PathBuf,
    /// Print JSON instead of one line of numbers for each output of the model.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) region: RegionArguments,
    #[command(flatten)]
    pub(crate) embedder: EmbedderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArguments {
    /// An image: JPEG, PNG, WebP, BMP, GIF or TIFF, or with --raw a raw frame.
    pub(crate) image: PathBuf,
    /// Write what the model sees, before normalisation, as a PNG picture.
    #[arg(long, value_name = "FILE")]
    pub(crate) dump: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) region: RegionArguments,
    #[command(flatten)]
    pub(crate) embedder: EmbedderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RegionArguments {
    /// Embed only this part of the stored image: whole numbers are pixels, and if any has a
    /// decimal point, all are fractions of the width and height, as in 0.25,0.25,0.5,0.5.
    #[arg(long, value_name = "x,y,w,h", value_parser = region, allow_hyphen_values = true)]
    region: Option<RegionOfInterest>,
    /// Cut off what of the region is outside the image, instead of refusing it.
    #[arg(long, requires = "region")]
    clamp_region: bool,
}

impl Command {
    /// Refuses options that do not go together and that clap cannot tell.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Compare(CompareArguments { embedder, .. })
            | Self::Embed(EmbedArguments { embedder, .. })
            | Self::Explain(ExplainArguments { embedder, .. }) => embedder.check(),
            Self::Inspect(_) | Self::Metadata(_) => Ok(()),
            #[cfg(feature = "native")]
            Self::Profile(_) => Ok(()),
        }
    }
}

impl RegionArguments {
    pub(crate) fn region(&self) -> Option<RegionOfInterest> {
        let out_of_bounds = if self.clamp_region { OutOfBounds::Clamp } else { OutOfBounds::Error };
        self.region.map(|region| region.with_out_of_bounds(out_of_bounds))
    }
}

#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    pub(crate) model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

#[cfg(feature = "native")]
#[derive(Args, Debug)]
pub(crate) struct ProfileArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    pub(crate) model: Option<PathBuf>,
    /// Threads inside one inference.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// How many runs are timed; every time is the median of them.
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) runs: NonZeroUsize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) native: NativeArguments,
}

/// What the backend native heeds.
#[cfg(feature = "native")]
#[derive(Args, Debug)]
pub(crate) struct NativeArguments {
    /// How the backend native rounds floats: the same on every machine, or as is fastest.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) numeric_mode: NumericMode,
}

/// A numeric mode by name.
#[cfg(feature = "native")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum NumericMode {
    /// The same bytes on every machine.
    #[default]
    Strict,
    /// As is fastest on this machine.
    Fast,
}

#[cfg(feature = "native")]
impl NumericMode {
    /// The name as it is given.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Fast => "fast",
        }
    }
}

#[cfg(feature = "native")]
impl NativeArguments {
    /// The backend that the arguments describe.
    pub(crate) fn backend(&self) -> image_embedder::native::NativeBackend {
        use image_embedder::native::{NativeBackend, NumericMode as Mode};

        NativeBackend::new().numeric_mode(match self.numeric_mode {
            NumericMode::Strict => Mode::Strict,
            NumericMode::Fast => Mode::Fast,
        })
    }
}

/// What `compare`, `embed` and `explain` have in common.
#[derive(Args, Debug)]
pub(crate) struct EmbedderArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// What runs the model.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) backend: BackendName,
    /// Scale feature vectors to length one.
    #[arg(long)]
    pub(crate) l2_normalize: bool,
    /// Quantise feature vectors to signed bytes.
    #[arg(long)]
    pub(crate) quantize: bool,
    /// The step between two bytes: 1/128, or a scale for each vector, which JSON tells.
    #[arg(long, value_enum, value_name = "NAME", default_value_t, requires = "quantize")]
    pub(crate) quantize_scale: QuantizeScale,
    /// Round feature vectors to 16-bit floats.
    #[arg(long, conflicts_with = "quantize")]
    pub(crate) float16: bool,
    /// Keep only the first N elements of feature vectors, before they are scaled.
    #[arg(long, value_name = "N")]
    pub(crate) dimension: Option<NonZeroUsize>,
    /// Whose resize arithmetic is followed.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) mode: Mode,
    /// What happens to the aspect ratio; all but stretch need the mode quality.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) resize: Resize,
    /// Which colours raw YUV frames stand for; all but bt601-limited need another mode than
    /// task-library.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) yuv: Yuv,
    /// What is subtracted from the levels 0 to 255, once or for red, green and blue; instead of
    /// what the model's metadata says.
    #[arg(
        long,
        value_name = "a[,b,c]",
        value_delimiter = ',',
        requires = "std",
        allow_hyphen_values = true
    )]
    pub(crate) mean: Vec<f32>,
    /// What they are then divided by, once or for red, green and blue.
    #[arg(
        long,
        value_name = "a[,b,c]",
        value_delimiter = ',',
        requires = "mean",
        allow_hyphen_values = true
    )]
    pub(crate) std: Vec<f32>,
    /// Threads inside one inference.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// Take images as they are stored, whatever their Exif orientation.
    #[arg(long)]
    pub(crate) ignore_exif: bool,
    /// Take JPEG files that end early, with gray for what is missing.
    #[arg(long)]
    pub(crate) allow_truncated: bool,
    #[command(flatten)]
    pub(crate) raw: RawArguments,
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

/// What only one backend heeds.
#[derive(Args, Debug)]
pub(crate) struct LibraryArguments {
    #[cfg(feature = "native")]
    #[command(flatten)]
    pub(crate) native: NativeArguments,
    /// Run TensorFlow Lite or LiteRT without XNNPACK.
    #[cfg(any(feature = "tflite", feature = "litert"))]
    #[arg(long)]
    pub(crate) no_xnnpack: bool,
    #[cfg(feature = "tflite")]
    #[command(flatten)]
    pub(crate) tflite: TfliteArguments,
    /// The library for the backend litert.
    #[cfg(feature = "litert")]
    #[arg(long, value_name = "PATH")]
    pub(crate) litert_library: Option<PathBuf>,
}

/// What the backend tflite heeds.
#[cfg(feature = "tflite")]
#[derive(Args, Debug)]
pub(crate) struct TfliteArguments {
    /// The TensorFlow Lite C library for the backend tflite.
    #[arg(long, value_name = "PATH")]
    pub(crate) tflite_library: Option<PathBuf>,
    /// A library with a TensorFlow Lite delegate for another processor.
    #[arg(long, value_name = "LIB")]
    pub(crate) delegate: Option<PathBuf>,
    /// An option of the delegate; may be repeated.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = delegate_option,
        requires = "delegate"
    )]
    pub(crate) delegate_option: Vec<(String, String)>,
    /// Go on without the delegate where it fails, and say why, instead of failing with it.
    #[arg(long, requires = "delegate")]
    pub(crate) delegate_fallback: bool,
}

impl EmbedderArguments {
    /// Refuses options that the chosen backend does not have.
    pub(crate) fn check(&self) -> Result<(), String> {
        #[cfg(feature = "native")]
        if self.library.native.numeric_mode != NumericMode::default()
            && self.backend != BackendName::Native
        {
            return Err("--numeric-mode needs --backend native".to_owned());
        }
        #[cfg(any(feature = "tflite", feature = "litert"))]
        if self.library.no_xnnpack
            && !matches!(self.backend, BackendName::Tflite | BackendName::Litert)
        {
            return Err("--no-xnnpack needs --backend tflite or litert".to_owned());
        }
        #[cfg(feature = "tflite")]
        if self.library.tflite.delegate.is_some() && self.backend != BackendName::Tflite {
            return Err("--delegate needs --backend tflite".to_owned());
        }
        Ok(())
    }
}

#[cfg(feature = "tflite")]
fn delegate_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, as in device=usb".to_owned()),
    }
}

/// The step between two quantised values.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum QuantizeScale {
    /// 1/128, as in the TensorFlow Lite Task Library.
    #[default]
    Fixed,
    /// The greatest magnitude of the vector, divided by 127.
    PerVector,
}

/// A preprocessing mode by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Mode {
    /// The pixels of the TensorFlow Lite Task Library.
    #[default]
    TaskLibrary,
    /// The pixels of MediaPipe.
    MediaPipe,
    /// An anti-aliased resize.
    Quality,
}

impl Mode {
    pub(crate) fn preprocess_mode(self) -> PreprocessMode {
        match self {
            Self::TaskLibrary => PreprocessMode::TaskLibrary,
            Self::MediaPipe => PreprocessMode::MediaPipe,
            Self::Quality => PreprocessMode::Quality,
        }
    }
}

/// A resize policy by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Resize {
    /// The image fills the model's input, distorted.
    #[default]
    Stretch,
    /// The whole image, with black bars.
    Letterbox,
    /// The middle of the image.
    CenterCrop,
}

impl Resize {
    pub(crate) fn policy(self) -> ResizePolicy {
        match self {
            Self::Stretch => ResizePolicy::Stretch,
            Self::Letterbox => ResizePolicy::Letterbox { padding: [0; 3] },
            Self::CenterCrop => ResizePolicy::CenterCrop,
        }
    }
}

/// A colour space of YUV by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Yuv {
    /// BT.601, luma from 16 to 235: what the Task Library assumes.
    #[default]
    Bt601Limited,
    /// BT.601, all levels: JPEG and most cameras.
    Bt601Full,
    /// BT.709, luma from 16 to 235: high definition.
    Bt709Limited,
    /// BT.709, all levels.
    Bt709Full,
    /// BT.2020, luma from 16 to 235: ultra-high definition.
    Bt2020Limited,
    /// BT.2020, all levels.
    Bt2020Full,
}

impl Yuv {
    pub(crate) fn color_space(self) -> YuvColorSpace {
        let (matrix, range) = match self {
            Self::Bt601Limited => (YuvMatrix::Bt601, YuvRange::Limited),
            Self::Bt601Full => (YuvMatrix::Bt601, YuvRange::Full),
            Self::Bt709Limited => (YuvMatrix::Bt709, YuvRange::Limited),
            Self::Bt709Full => (YuvMatrix::Bt709, YuvRange::Full),
            Self::Bt2020Limited => (YuvMatrix::Bt2020, YuvRange::Limited),
            Self::Bt2020Full => (YuvMatrix::Bt2020, YuvRange::Full),
        };
        YuvColorSpace::new(matrix, range)
    }
}

fn region(text: &str) -> Result<RegionOfInterest, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let region = match *parts.as_slice() {
        [x, y, width, height] if text.contains('.') => fractions([x, y, width, height]),
        [x, y, width, height] => pixels([x, y, width, height]),
        _ => None,
    };
    region.ok_or_else(|| {
        "expected four numbers, as in 0,0,320,240 for pixels or 0.0,0.0,0.5,0.5 for fractions"
            .to_owned()
    })
}

fn pixels([x, y, width, height]: [&str; 4]) -> Option<RegionOfInterest> {
    let (x, y): (i32, i32) = (x.parse().ok()?, y.parse().ok()?);
    Some(RegionOfInterest::pixels(x.into(), y.into(), width.parse().ok()?, height.parse().ok()?))
}

fn fractions(numbers: [&str; 4]) -> Option<RegionOfInterest> {
    let mut parsed = [0f64; 4];
    for (value, text) in parsed.iter_mut().zip(numbers) {
        *value = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    }
    let [x, y, width, height] = parsed;
    Some(RegionOfInterest::normalized(x, y, width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    #[cfg(feature = "tflite")]
    fn delegate_options() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(delegate_option("device=usb:0"), pair("device", "usb:0"));
        assert_eq!(delegate_option("path=a=b"), pair("path", "a=b"));
        assert_eq!(delegate_option("empty="), pair("empty", ""));
        for wrong in ["", "device", "=usb"] {
            assert!(delegate_option(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn regions() {
        assert_eq!(region("1,2,3,4"), Ok(RegionOfInterest::pixels(1, 2, 3, 4)));
        assert_eq!(region("-1, 2, 3, 4"), Ok(RegionOfInterest::pixels(-1, 2, 3, 4)));
        let half = RegionOfInterest::normalized(0.0, 0.25, 0.5, 1.0);
        assert_eq!(region("0,0.25,.5,1"), Ok(half));
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,0,-1,1",
            "a,b,c,d",
            "4294967296,0,1,1",
            "0.5,0,x,1",
            "0.5,0,inf,1",
            "0.5,0,1",
        ] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
