"""English words by the speech synthesizer espeak-ng, in many voices; only for pre-training, where it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import soundfile
import soxr

from benchmark.data.synthetic.sound import Wave, levelled
from benchmark.errors import BenchmarkError

PROGRAM = "espeak-ng"
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
VOICES = (
    *(f"m{number}" for number in range(1, 9)), *(f"f{number}" for number in range(1, 6)), "klatt", "klatt2", "klatt3",
    "croak", "whisper", "whisperf", "Adam", "Alex", "Alicia", "Andrea", "Annie", "Belinda", "Diogo", "Gene", "Hugo",
    "Linda", "Marco", "Michael", "Nguyen", "Quincy", "Steph", "aunty", "grandma", "grandpa",
)  # fmt: skip
# Short words; none is among the words of Speech Commands.
WORDS = tuple(
    """
    able acorn actor after again alarm album amber angel ankle apple april apron arrow autumn baby bacon badge baker
    banana basket beach bean bell berry bike blanket blue boat body bone book bottle bowl box brain branch bread
    brick bridge bright brother brown brush bucket butter button cabin cactus cake camel camera candle candy carpet
    carrot castle chain chair chalk cheese cherry chicken circle city clay cliff clock cloud coat coffee coin cold
    color comet copper corn cotton cousin crab cradle cream crown curtain dance daughter desk diamond dinner doctor
    dollar donkey door dragon dream dress drum duck eagle early earth echo eleven elbow engine evening fabric farmer
    father feather fence fever field finger fire fish flag flame flower flute forest fork fox friend fruit garden
    garlic gate ghost giant ginger glass glove gold goose grape grass gravel green guitar hammer hand harbor hat
    heart helmet hill honey hook horse hotel ice igloo iron island ivory jacket jam jelly jewel jungle kettle key
    king kitchen kite knife ladder lake lamp lantern leaf lemon letter lily lion lizard lobster lunch machine magic
    mango map marble market meadow melon mirror money monkey moon morning mother mountain mouse movie muscle music
    napkin nation nature neck needle nest never night noodle north nose ocean office olive onion orange orchard oven
    owl paint palace panda paper parrot party peach pear pencil pepper piano picnic pillow pilot pirate planet plate
    pocket pond potato powder prince pumpkin puppet purple puzzle queen quiet rabbit radio rain ribbon rice ring
    river robin robot rocket roof rope rose sailor salad salt sand scarf school scissors season secret shadow shark
    sheep shelf ship shoe silver sister skirt sky smoke snail snow soap sock sofa soldier soup spider spoon spring
    square squirrel stable star station steam stone storm story street sugar summer sun swan sweater table tailor
    tea teacher temple tennis thunder ticket tiger tomato tooth towel tower toy train treasure triangle trumpet
    tulip tunnel turtle uncle valley velvet village violin voice volcano wagon wall walnut water weather whale wheat
    wheel whisker window winter wizard woman wood wool yellow yesterday zebra
    """.split()
)


def is_installed() -> bool:
    """Return whether espeak-ng can be called."""
    return shutil.which(PROGRAM) is not None


def spoken(label: int, seed: int, seconds: float, rate: int) -> Wave:
    """Speak a word once, somewhere in the clip, in a voice with its own accent, pitch, speed and vocal tract.

    Args:
        label: index into `WORDS`.
        seed: of the clip; determines voice and place.
        seconds: length.
        rate: samples per second.

    Raises:
        BenchmarkError: espeak-ng cannot be called, or fails.
    """
    clip = np.random.default_rng([label, seed, 41])
    voice = f"{clip.choice(ACCENTS)}+{clip.choice(VOICES)}"
    options = ["-v", voice, "-p", str(clip.integers(10, 95)), "-s", str(clip.integers(110, 220)), "-a", "120"]
    call = [PROGRAM, *options, "--stdout", WORDS[label]]
    try:
        result = subprocess.run(call, capture_output=True, check=True, timeout=60)
        wave, own_rate = soundfile.read(io.BytesIO(result.stdout), dtype="float32")
    except (OSError, subprocess.SubprocessError, soundfile.LibsndfileError) as error:
        raise BenchmarkError(f"{PROGRAM}: cannot speak '{call[-1]}': {error}") from None
    # another rate than its own shifts pitch and formants together, as a longer or shorter vocal tract
    wave = soxr.resample(wave, own_rate * clip.uniform(0.85, 1.15), rate)
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    wave = wave[loud[0] : loud[-1] + 1] if len(loud) else wave
    samples = int(seconds * rate)
    wave = wave[:samples]
    placed = np.zeros(samples, dtype=np.float32)
    start = int(clip.integers(samples - len(wave) + 1))
    placed[start : start + len(wave)] = wave
    return levelled(clip, placed)
