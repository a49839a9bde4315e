// A mixer of stems: the systems that separated a song, side by side, in step to the sample.
//
// One plain module without dependencies. It knows no notebook and no web page: a host hands it a description of the
// sounds, a way to load them and a shared state (see createMixer at the end), and it draws into one element.

const LOWEST = -40; // dB, the ends of a fader
const HIGHEST = 12;
const LEAD = 0.04; // s from asking for a start until it happens: time to set up every source before it
const SMOOTHING = 0.003; // s, the time constant of a change of gain: done within 15 ms, and no click
const SHORTEST_LOOP = 0.05; // s
const SILENCE = 20000; // ms without an answer from the host before that is said
const AT_ONCE = 3; // sounds that are fetched at a time
const PLAYS = "sepnb-mixer-plays"; // the event by which one mixer of a page tells the others to stop

// --- sound -----------------------------------------------------------------------------------------------------------

/** Loads, decodes and plays the sounds of a host; holds the state, and tells the host and the views what changed. */
export class Player {
  constructor(host) {
    this.host = host;
    this.config = host.config;
    this.duration = this.config.samples / this.config.rate;
    this.state = {
      position: 0,
      playing: false,
      volume: 1,
      gains: {},
      muted: [],
      soloed: [],
      system: this.config.systems[0].name,
      loop: null,
      match_levels: false,
      ready: false,
      problem: "",
    };
    this.loaded = 0;
    this.received = new Map(); // sound -> bytes that have come
    this.run = null; // the sources that sound now: {sources, when, offset, loop}
    this.attempt = 0; // counts calls of play and pause, so that a late answer to an old one does nothing
    this.listeners = new Set();
    this.leave = [];
    this.openContext();
    this.connect();
    for (const name of Object.keys(this.state)) {
      if (name === "ready" || name === "problem") continue;
      const given = host.get(name);
      if (given !== undefined) this.state[name] = this.allowed(name, given); // a host may have it of a longer song
      this.leave.push(host.onChange(name, (value) => this.apply(name, value)));
    }
    this.leaveLoop(this.state.position);
    this.setGains();
    const stop = (event) => event.detail !== this && this.set("playing", false);
    document.addEventListener(PLAYS, stop);
    this.leave.push(() => document.removeEventListener(PLAYS, stop));
    this.load();
  }

  openContext() {
    try {
      this.context = new AudioContext({ sampleRate: this.config.rate });
    } catch {
      this.context = new AudioContext(); // a rate that this browser does not know: decoding resamples
    }
    this.context.suspend().catch(() => {}); // closed meanwhile
    this.rate = this.context.sampleRate;
    this.frames = Math.round(this.duration * this.rate);
  }

  /** sources → a gain for each system and stem → the sum → transport (fades at jumps) → volume → loudspeaker. */
  connect() {
    const context = this.context;
    this.sum = context.createGain();
    this.transport = context.createGain();
    this.output = context.createGain();
    this.sum.connect(this.transport).connect(this.output).connect(context.destination);
    this.gainNodes = new Map();
    this.buffers = new Map();
    for (const sound of this.config.sounds) {
      const node = context.createGain();
      node.gain.value = 0;
      node.connect(this.sum);
      this.gainNodes.set(key(sound.system, sound.stem), node);
    }
    // An analyser mixes its channels down, so that each gets its own.
    const splitter = context.createChannelSplitter(this.config.channels);
    this.sum.connect(splitter);
    this.meters = Array.from({ length: this.config.channels }, (_, channel) => {
      const meter = context.createAnalyser();
      meter.fftSize = 2048;
      splitter.connect(meter, channel);
      return meter;
    });
    this.metered = new Float32Array(2048);
  }

  /** The gain node of a stem of a system; undefined where the system has no such stem. */
  gain(system, stem) {
    return this.gainNodes.get(key(system, stem));
  }

  /** The decoded sound of a stem of a system; undefined where there is none, or not yet. */
  buffer(system, stem) {
    return this.buffers.get(key(system, stem));
  }

  // --- loading

  async load() {
    const waiting = [...this.config.sounds];
    this.heard = Date.now();
    this.watch = setInterval(() => this.checkSilence(), 1000);
    const fetchSome = async () => {
      while (waiting.length && !this.destroyed) await this.loadOne(waiting.shift());
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, fetchSome));
    } catch (problem) {
      if (!this.destroyed) this.say(problem.message);
      return;
    } finally {
      clearInterval(this.watch);
    }
    if (this.destroyed) return;
    this.state.ready = true;
    this.host.set("ready", true);
    this.emit("ready");
    if (this.state.playing) this.play();
  }

  async loadOne(sound) {
    const bytes = await this.host.load(sound.id, (count) => this.hear(sound, count));
    if (this.destroyed) return;
    this.hear(sound, bytes.byteLength);
    let decoded;
    try {
      decoded = await this.context.decodeAudioData(bytes);
    } catch {
      throw new Error(`This browser cannot decode the sound of ${sound.stem} (${sound.system}, ${sound.mime}).`);
    }
    this.buffers.set(key(sound.system, sound.stem), this.ofCommonLength(decoded));
    this.loaded += 1;
    this.emit("loaded");
  }

  /** Encoders pad: what is longer or shorter than the others would leave step where a loop wraps. */
  ofCommonLength(decoded) {
    if (decoded.length === this.frames) return decoded;
    const buffer = this.context.createBuffer(decoded.numberOfChannels, this.frames, this.rate);
    for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
      buffer.copyToChannel(decoded.getChannelData(channel).subarray(0, this.frames), channel);
    }
    return buffer;
  }

  /** Of a sound, `count` bytes have come. */
  hear(sound, count) {
    if (this.destroyed) return;
    this.heard = Date.now();
    if (this.silent) this.say("");
    this.silent = false;
    this.received.set(sound, count);
    this.emit("loaded");
  }

  /** How far loading is, in words: by bytes, or by sounds where their sizes are kept secret. */
  get progress() {
    const { sounds } = this.config;
    const megabytes = (count) => (count / 1e6).toFixed(1);
    const sum = (counts) => counts.reduce((total, count) => total + count, 0);
    if (sounds.every(({ bytes }) => bytes)) {
      const total = sum(sounds.map(({ bytes }) => bytes));
      return `${megabytes(sum([...this.received.values()]))} of ${megabytes(total)} MB`;
    }
    return `${this.loaded} of ${sounds.length} sound${sounds.length > 1 ? "s" : ""}`;
  }

  checkSilence() {
    if (this.silent || Date.now() - this.heard < SILENCE) return;
    this.silent = true;
    this.say(this.host.unanswered ?? "The sounds do not arrive: check the connection, then load the page again.");
  }

  // --- state

  /** A change made in a view: applied, and the host is told. */
  set(name, value) {
    if (this.apply(name, value)) this.host.set(name, this.state[name]);
  }

  /** A change from anywhere; returns whether it was one. */
  apply(name, value) {
    value = this.allowed(name, value);
    if (name !== "position" && JSON.stringify(value) === JSON.stringify(this.state[name])) return false;
    this.state[name] = value;
    if (name === "playing") value ? this.play() : this.pause();
    else if (name === "position") this.seek(value);
    else if (name === "loop") this.enterLoop();
    else this.setGains();
    this.emit(name);
    return true;
  }

  /** A change that follows from another: the host and the views are told. */
  follow(name, value) {
    this.state[name] = value;
    this.host.set(name, value);
    this.emit(name);
  }

  allowed(name, value) {
    if (name === "position") return clamp(value, 0, this.duration);
    if (name === "volume") return clamp(value, 0, 1);
    if (name === "loop" && value) {
      const [start, end] = value.map((at) => clamp(at, 0, this.duration));
      if (end - start >= SHORTEST_LOOP) return [start, end];
      const from = Math.max(0, Math.min(start, this.duration - SHORTEST_LOOP));
      return [from, Math.min(this.duration, from + SHORTEST_LOOP)];
    }
    return value;
  }

  say(problem) {
    this.state.problem = problem;
    this.host.set("problem", problem);
    this.emit("problem");
  }

  on(callback) {
    this.listeners.add(callback);
    return () => this.listeners.delete(callback);
  }

  emit(name) {
    for (const callback of this.listeners) callback(name);
  }

  // --- gains

  /** The factor of a stem of a system as mute, solo, fader and level matching have it; 0 where it is not heard. */
  factor(system, stem) {
    const { gains, match_levels } = this.state;
    if (system !== this.state.system || this.takenOut(system, stem)) return 0;
    const fader = own(gains, stem);
    if (fader === null) return 0;
    const matched = match_levels ? own(this.system(system).match_db ?? {}, stem) : 0;
    return 10 ** ((fader + matched) / 20) / this.config.scale;
  }

  /** Whether mute or solo takes a stem out of a system. Of a system with none of the soloed stems, solo takes nothing. */
  takenOut(system, stem) {
    const { muted, soloed } = this.state;
    const { stems } = this.system(system);
    const alone = soloed.filter((name) => stems.includes(name));
    return muted.includes(stem) || (alone.length > 0 && !alone.includes(stem));
  }

  system(name) {
    return this.config.systems.find((system) => system.name === name);
  }

  /** What is heard now: [buffer, factor] of each stem that is neither silent nor of another system. */
  audible() {
    const { system } = this.state;
    return this.config.stems
      .map(({ name }) => [this.buffer(system, name), this.factor(system, name)])
      .filter(([buffer, factor]) => buffer && factor > 0);
  }

  setGains() {
    for (const sound of this.config.sounds) {
      this.glide(this.gain(sound.system, sound.stem).gain, this.factor(sound.system, sound.stem));
    }
    this.glide(this.output.gain, this.state.volume);
  }

  glide(parameter, target) {
    const now = this.context.currentTime;
    parameter.cancelScheduledValues(this.run ? now : 0);
    if (this.run) {
      parameter.setTargetAtTime(target, now, SMOOTHING);
      parameter.setValueAtTime(target, now + 10 * SMOOTHING); // from e⁻¹⁰ of the change to nothing of it
    } else {
      parameter.value = target;
    }
  }

  // --- transport

  get position() {
    const run = this.run;
    if (!run) return this.state.position;
    const elapsed = this.context.currentTime - (this.context.outputLatency || 0) - run.when;
    let at = run.offset + Math.max(0, elapsed);
    if (run.loop && at >= run.loop[1]) at = run.loop[0] + ((at - run.loop[0]) % (run.loop[1] - run.loop[0]));
    return Math.min(at, this.duration);
  }

  async play() {
    const attempt = ++this.attempt;
    if (!this.state.ready) return;
    clearTimeout(this.rest);
    await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 500))]);
    if (attempt !== this.attempt) return;
    if (this.context.state !== "running") {
      this.set("playing", false);
      this.say("Press play once: a browser lets a page sound only after a click or a key on it.");
      return;
    }
    this.say("");
    document.dispatchEvent(new CustomEvent(PLAYS, { detail: this }));
    this.start(this.state.position >= this.duration ? 0 : this.state.position);
    clearInterval(this.reporter);
    this.reporter = setInterval(() => this.report(), 500);
  }

  /** All sources of all systems begin together at `offset` seconds; those of before end where they begin. */
  start(offset) {
    const { context, rate } = this;
    const onGrid = (seconds) => Math.round(seconds * rate) / rate;
    const when = Math.ceil((context.currentTime + LEAD) * rate) / rate;
    offset = onGrid(offset);
    const loop = this.state.loop?.map(onGrid) ?? null;
    if (loop && offset >= loop[1]) offset = loop[0]; // paused within the loop's last half sample
    this.fade(when, offset);
    this.silence(when);
    const sources = [];
    for (const [name, buffer] of this.buffers) {
      const source = context.createBufferSource();
      source.buffer = buffer;
      if (loop) Object.assign(source, { loop: true, loopStart: loop[0], loopEnd: loop[1] });
      source.connect(this.gainNodes.get(name));
      source.start(when, offset);
      sources.push(source);
    }
    const run = { sources, when, offset, loop };
    sources[0].onended = () => this.run === run && this.finish();
    this.run = run;
  }

  /** Down from what sounds now, and up from `when` on, unless that is the song's first sample. */
  fade(when, offset) {
    const level = this.transport.gain;
    const now = this.context.currentTime;
    level.cancelScheduledValues(now);
    if (this.run) level.setTargetAtTime(0, now, SMOOTHING);
    level.setValueAtTime(offset > 0 ? 0 : 1, when);
    level.linearRampToValueAtTime(1, when + 0.005);
  }

  silence(when) {
    for (const source of this.run?.sources ?? []) {
      source.onended = null;
      source.stop(when);
    }
    this.run = null;
  }

  pause() {
    this.attempt += 1;
    this.halt(this.position);
  }

  /** The end of the song: back to its start. */
  finish() {
    this.halt(0);
    this.set("playing", false);
  }

  halt(position) {
    clearInterval(this.reporter);
    if (this.run) {
      const now = this.context.currentTime;
      this.transport.gain.cancelScheduledValues(now);
      this.transport.gain.setTargetAtTime(0, now, SMOOTHING);
      this.silence(now + 10 * SMOOTHING);
      this.rest = setTimeout(() => this.context.suspend(), 300); // a context at rest uses no processor
    }
    this.state.position = position;
    this.host.set("position", position);
    this.emit("position");
  }

  jump(position) {
    this.state.position = position;
    if (this.run) this.start(position);
  }

  /** To a place. Before the loop, it plays into the loop; behind it, the loop is off until it is called back. */
  seek(position) {
    this.leaveLoop(position);
    this.jump(position);
  }

  leaveLoop(position) {
    const { loop } = this.state;
    if (!loop || position < loop[1]) return;
    this.lastLoop = loop;
    this.follow("loop", null);
  }

  /** With a loop that was just set, what plays or waits outside of it goes to its start. */
  enterLoop() {
    const { loop } = this.state;
    const { position } = this;
    const outside = loop && (position < loop[0] || position >= loop[1]);
    this.jump(outside ? loop[0] : position);
    if (outside) this.follow("position", loop[0]);
  }

  report() {
    if (!this.run) return;
    this.state.position = this.position;
    this.host.set("position", this.state.position);
  }

  /** The largest sample of the sum just now, over all channels; 1 is full scale. */
  peak() {
    let peak = 0;
    for (const meter of this.meters) {
      meter.getFloatTimeDomainData(this.metered);
      for (const sample of this.metered) peak = Math.max(peak, Math.abs(sample));
    }
    return peak;
  }

  /** The mix as it is set, without the volume: {channels: [Float32Array], rate, peak}; lowered where it would clip. */
  async mixdown() {
    const offline = new OfflineAudioContext(this.config.channels, this.frames, this.rate);
    for (const [buffer, factor] of this.audible()) {
      const source = offline.createBufferSource();
      const gain = offline.createGain();
      source.buffer = buffer;
      gain.gain.value = factor;
      source.connect(gain).connect(offline.destination);
      source.start();
    }
    const mixed = await offline.startRendering();
    const channels = Array.from({ length: this.config.channels }, (_, channel) => mixed.getChannelData(channel));
    let peak = 0;
    for (const channel of channels) for (const sample of channel) peak = Math.max(peak, Math.abs(sample));
    if (peak > 1) for (const channel of channels) channel.forEach((sample, at) => (channel[at] = sample / peak));
    return { channels, rate: this.rate, peak };
  }

  destroy() {
    this.destroyed = true;
    this.attempt += 1;
    clearInterval(this.watch);
    clearInterval(this.reporter);
    clearTimeout(this.rest);
    this.silence(0);
    for (const leave of this.leave) leave?.();
    this.listeners.clear();
    this.buffers.clear();
    if (this.context.state !== "closed") this.context.close();
  }
}

function key(system, stem) {
  return JSON.stringify([system, stem]);
}

/** The decibels of a stem, 0 where there are none; a stem may be called "constructor". */
function own(decibels, stem) {
  return Object.hasOwn(decibels, stem) ? decibels[stem] : 0;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, Number(value) || 0));
}

/** A 16-bit WAV file of float channels. */
export function wavBytes(channels, rate) {
  const frames = channels[0].length;
  const size = 2 * frames * channels.length;
  const view = new DataView(new ArrayBuffer(44 + size));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // integers
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate * channels.length, true);
  view.setUint16(32, 2 * channels.length, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  let at = 44;
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) {
      view.setInt16(at, clamp(Math.round(channel[frame] * 32768), -32768, 32767), true);
      at += 2;
    }
  }
  return view.buffer;
}

// --- pictures --------------------------------------------------------------------------------------------------------

const BINS = 2000; // the resolution at which the shape of a sound is kept; a screen shows no more
const ENOUGH = 1000; // samples of a stretch that are looked at: of a long song, not all

/** The lowest and highest sample in each of BINS stretches of a sound, over all channels. */
function outline(buffer) {
  const low = new Float32Array(BINS);
  const high = new Float32Array(BINS);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    const step = Math.ceil(samples.length / BINS / ENOUGH);
    for (let bin = 0; bin < BINS; bin++) {
      const end = Math.max(Math.floor(((bin + 1) * samples.length) / BINS), 1);
      for (let at = Math.floor((bin * samples.length) / BINS); at < end; at += step) {
        if (samples[at] < low[bin]) low[bin] = samples[at];
        else if (samples[at] > high[bin]) high[bin] = samples[at];
      }
    }
  }
  return { low, high, peak: Math.max(...high, ...low.map((sample) => -sample)) };
}

/** The power of `size` real samples at size/2 frequencies (radix-2 FFT, in place). */
class Fourier {
  constructor(size) {
    this.size = size;
    this.cos = Float32Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sin = Float32Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
  }

  power(samples, out) {
    const { size, real, imaginary, order, cos, sin } = this;
    for (let i = 0; i < size; i++) real[i] = samples[order[i]];
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let begin = 0; begin < size; begin += 2 * half) {
        for (let i = 0; i < half; i++) {
          const a = begin + i;
          const b = a + half;
          const c = cos[i * stride];
          const s = -sin[i * stride];
          const turnedReal = real[b] * c - imaginary[b] * s;
          const turnedImaginary = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - turnedReal;
          imaginary[b] = imaginary[a] - turnedImaginary;
          real[a] += turnedReal;
          imaginary[a] += turnedImaginary;
        }
      }
    }
    for (let i = 0; i < size / 2; i++) out[i] = real[i] * real[i] + imaginary[i] * imaginary[i];
  }
}

const LOW_HERTZ = 40;
const RANGE_DB = 75; // from the brightest to black
// Magma, the map of the course's figures, at eleven places: equal steps look equal, in grey as well.
const MAGMA = [
  [0, 0, 4], [21, 14, 55], [59, 15, 112], [100, 26, 128], [140, 41, 129], [183, 55, 121],
  [222, 73, 104], [247, 112, 92], [254, 159, 109], [254, 207, 146], [252, 253, 191],
];
const SHADES = Uint32Array.from({ length: 256 }, (_, shade) => {
  const place = (shade / 255) * (MAGMA.length - 1);
  const below = MAGMA[Math.floor(place)];
  const above = MAGMA[Math.min(Math.floor(place) + 1, MAGMA.length - 1)];
  const [red, green, blue] = below.map((part, i) => Math.round(part + (above[i] - part) * (place % 1)));
  return (255 << 24) | (blue << 16) | (green << 8) | red; // canvases keep their bytes in this order
});

/** Draws the spectrogram of what is heard, one window a column, however long the song. */
class Spectrogram {
  constructor(player) {
    this.player = player;
    const size = 2 ** Math.round(Math.log2(0.046 * player.rate));
    this.fourier = new Fourier(size);
    this.window = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    this.samples = new Float32Array(size);
    this.powers = new Float32Array(size / 2);
    this.top = null; // the level of the brightest colour, that of the first picture: a lowered fader looks darker
  }

  /** Fills a canvas, a slice a frame so that nothing stalls; `current` says whether the picture is still wanted. */
  async draw(canvas, current) {
    const { width, height } = canvas;
    const heard = this.player.audible();
    const levels = new Float32Array(width * height);
    const rows = this.rows(height);
    let peak = -Infinity;
    let pausedAt = performance.now();
    for (let column = 0; column < width; column++) {
      this.gather(heard, Math.round(((column + 0.5) / width) * this.player.frames));
      this.fourier.power(this.samples, this.powers);
      for (let row = 0; row < height; row++) {
        const level = this.level(rows[row]);
        levels[row * width + column] = level;
        if (level > peak) peak = level;
      }
      if (performance.now() - pausedAt > 12) {
        await new Promise((done) => setTimeout(done));
        if (!current()) return;
        pausedAt = performance.now();
      }
    }
    if (this.top === null && heard.length) this.top = peak;
    const top = this.top ?? 0;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = SHADES[clamp(Math.round(255 * (1 + (levels[i] - top) / RANGE_DB)), 0, 255)];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** The sum of what is heard in the window around a sample, all channels together. */
  gather(heard, centre) {
    const { samples, window } = this;
    const begin = centre - samples.length / 2;
    const first = Math.max(0, -begin);
    const last = Math.min(samples.length, this.player.frames - begin);
    samples.fill(0);
    for (const [buffer, factor] of heard) {
      for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
        const data = buffer.getChannelData(channel);
        const share = factor / buffer.numberOfChannels;
        for (let i = first; i < last; i++) samples[i] += share * data[begin + i];
      }
    }
    for (let i = 0; i < samples.length; i++) samples[i] *= window[i];
  }

  /** For each row from the top, the stretch of frequencies it shows, in bins. */
  rows(height) {
    const nyquist = this.player.rate / 2;
    const bin = (share) => (LOW_HERTZ * (nyquist / LOW_HERTZ) ** share * this.fourier.size) / this.player.rate;
    return Array.from({ length: height }, (_, row) => [bin((height - 1 - row) / height), bin((height - row) / height)]);
  }

  level([from, to]) {
    const { powers } = this;
    let power = 0;
    if (to - from < 1) {
      const at = Math.min((from + to) / 2, powers.length - 1.001);
      const below = Math.floor(at);
      power = powers[below] + (at - below) * (powers[below + 1] - powers[below]);
    } else {
      for (let i = Math.ceil(from); i < Math.min(to, powers.length); i++) if (powers[i] > power) power = powers[i];
    }
    return 10 * Math.log10(power + 1e-12);
  }
}

// --- parts of the view: each is {element, update(name), frame()} -----------------------------------------------------

/** An element; text only ever as text, so that a name is never markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function button(text, attributes) {
  return element("button", { type: "button", ...attributes }, text);
}

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

const PLAY = "M7 4.5v15l12.5-7.5z";
const PAUSE = "M6.5 5h4v14h-4zM13.5 5h4v14h-4z";

/** 63.25 → "1:03.2". */
function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

function spoken(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = `${(Math.floor(seconds * 10) / 10 - 60 * minutes).toFixed(1)} seconds`;
  return minutes ? `${minutes} minute${minutes > 1 ? "s" : ""} ${rest}` : rest;
}

function decibels(gain) {
  if (gain === null) return "off";
  return `${gain < 0 ? "−" : gain > 0 ? "+" : ""}${Math.abs(gain).toFixed(1)} dB`;
}

function transportPart(player) {
  const play = button("", { class: "play", onclick: () => player.set("playing", !player.state.playing) });
  const now = element("span", { class: "now" });
  const time = element("span", { class: "time" }, now, ` / ${clock(player.duration)}`);
  const part = {
    element: element("div", { class: "transport" }, play, time),
    update(name) {
      const { playing, ready } = player.state;
      if (["all", "ready", "playing"].includes(name)) {
        play.disabled = !ready;
        play.replaceChildren(icon(playing ? PAUSE : PLAY));
        play.setAttribute("aria-label", playing ? "Pause" : "Play");
        play.title = playing ? "Pause (Space)" : "Play (Space)";
      }
      part.frame();
    },
    frame() {
      now.textContent = clock(player.position);
    },
  };
  return part;
}

/** The system that a digit's key chooses: the one of that name, or else of that place, unless it has its own digit. */
function systemOfKey(systems, digit) {
  const named = systems.find(({ name }) => name === digit);
  const placed = systems[digit - 1];
  return named ?? (placed && !/^[1-9]$/.test(placed.name) ? placed : undefined);
}

function systemsPart(player) {
  const { systems } = player.config;
  if (systems.length < 2) return null;
  const digits = [..."123456789"];
  const hint = ({ name }) => {
    const digit = digits.find((one) => systemOfKey(systems, one)?.name === name);
    return digit ? `${name} (key ${digit})` : name;
  };
  const buttons = systems.map((system) =>
    button(system.name, {
      title: hint(system),
      onclick: () => player.set("system", system.name),
    }),
  );
  const matches = systems.some(({ match_db }) => Object.values(match_db ?? {}).some((gain) => gain !== 0));
  const match = button("Match levels", {
    title: "Play every stem as loud as in the reference, so that louder does not seem better",
    onclick: () => player.set("match_levels", !player.state.match_levels),
  });
  const group = element("div", { class: "systems", role: "group", "aria-label": "System" }, ...buttons);
  return {
    element: element("div", { class: "choose" }, group, ...(matches ? [match] : [])),
    update(name) {
      if (!["all", "system", "match_levels"].includes(name)) return;
      buttons.forEach((one, index) => one.setAttribute("aria-pressed", systems[index].name === player.state.system));
      match.setAttribute("aria-pressed", player.state.match_levels);
    },
  };
}

/** A strip over the whole length: a canvas, the loop's shade and the playhead; click seeks, shift and drag loops. */
function lane(player, { canvas, label, ...attributes }) {
  const shade = element("div", { class: "loop", hidden: true });
  const head = element("div", { class: "head" });
  const strip = element("div", { class: "lane", ...attributes }, ...(canvas ? [canvas] : []), shade, head);
  if (canvas) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
  }
  let drag = null; // {from: where it began, or a loop's other end, loop: whether it marks one, sought: the x it sought}
  const at = (event) => {
    const box = strip.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1) * player.duration;
  };
  const seek = (event) => {
    if (drag.sought === event.clientX) return; // a click is one jump, though it has two events
    drag.sought = event.clientX;
    player.set("position", at(event));
  };
  const mark = (event) => player.set("loop", [Math.min(drag.from, at(event)), Math.max(drag.from, at(event))]);
  strip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !player.state.ready) return;
    const handle = event.target.dataset.handle;
    const { loop } = player.state;
    drag = { from: handle ? loop[handle === "start" ? 1 : 0] : at(event), loop: handle || event.shiftKey };
    strip.setPointerCapture(event.pointerId);
    // A finger may be about to scroll: its touch counts when it leaves.
    if (!drag.loop && event.pointerType !== "touch") seek(event);
  });
  strip.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.loop) mark(event);
    else if (!player.state.playing && event.pointerType !== "touch") seek(event);
  });
  strip.addEventListener("pointerup", (event) => {
    if (!drag) return;
    if (!drag.loop) seek(event);
    else if (Math.abs(at(event) - drag.from) > SHORTEST_LOOP) mark(event);
    drag = null;
  });
  strip.addEventListener("pointercancel", () => (drag = null));
  return {
    strip,
    shade,
    update(name) {
      if (!["all", "loop", "position", "playing"].includes(name)) return;
      const { loop } = player.state;
      shade.hidden = !loop;
      if (loop) {
        shade.style.left = `${(100 * loop[0]) / player.duration}%`;
        shade.style.width = `${(100 * (loop[1] - loop[0])) / player.duration}%`;
      }
      this.frame();
    },
    frame() {
      head.style.left = `${(100 * player.position) / player.duration}%`;
    },
  };
}

const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

function timelinePart(player) {
  const ticks = element("div", { class: "ticks", "aria-hidden": "true" });
  const track = lane(player, {
    class: "lane timeline",
    role: "slider",
    tabindex: "0",
    "aria-label": "Position",
    "aria-valuemin": "0",
    "aria-valuemax": player.duration.toFixed(2),
    title: "Click or drag to move; with Shift, drag to loop",
  });
  track.shade.append(
    element("div", { class: "handle start", "data-handle": "start" }),
    element("div", { class: "handle end", "data-handle": "end" }),
  );
  track.strip.prepend(ticks);
  let told = null;
  return {
    element: element("div", { class: "row" }, element("div", { class: "label" }), track.strip),
    update(name) {
      if (name === "all" || name === "size") {
        const fits = Math.max(1, track.strip.clientWidth / 80);
        const step = STEPS.find((seconds) => player.duration / seconds <= fits) ?? 1200;
        const marks = [];
        for (let at = 0; at < player.duration; at += step) {
          const text = step < 1 ? clock(at) : clock(at).slice(0, -2);
          marks.push(element("span", { style: `left: ${(100 * at) / player.duration}%` }, text));
        }
        ticks.replaceChildren(...marks);
      }
      track.update(name);
      this.frame();
    },
    frame() {
      track.frame();
      const { position } = player;
      // While it plays, once a second is enough for a screen reader.
      const tell = player.state.playing ? Math.floor(position) : position;
      if (tell === told) return;
      told = tell;
      track.strip.setAttribute("aria-valuenow", position.toFixed(2));
      track.strip.setAttribute("aria-valuetext", `${spoken(position)} of ${spoken(player.duration)}`);
    },
  };
}

function stemPart(player, stem, outlines) {
  const { name, colour } = stem;
  const flip = (list) => {
    const set = player.state[list];
    player.set(list, set.includes(name) ? set.filter((other) => other !== name) : [...set, name]);
  };
  const mute = button("M", {
    class: "mute",
    "aria-label": `Mute ${name}`,
    title: "Mute (M)",
    onclick: () => flip("muted"),
  });
  const solo = button("S", {
    class: "solo",
    "aria-label": `Solo ${name}`,
    title: "Solo (S)",
    onclick: () => flip("soloed"),
  });
  const fader = element("input", {
    type: "range",
    min: LOWEST,
    max: HIGHEST,
    step: 0.5,
    "aria-label": `Level of ${name}`,
    title: "Double-click: 0 dB",
  });
  const move = (gain) => player.set("gains", { ...player.state.gains, [name]: gain });
  fader.addEventListener("input", () => move(Number(fader.value)));
  fader.addEventListener("dblclick", () => move(0));
  const value = element("output", { class: "value" });
  const canvas = element("canvas");
  const track = lane(player, { canvas, label: `Waveform of ${name}` });
  const title = element("span", { class: "name", title: name }, name);
  const swatch = element("span", { class: "swatch" });
  const slot = element("span", { class: "fader" }, fader);
  const controls = element("div", { class: "label" }, swatch, title, mute, solo, slot, value);
  const row = element("div", { class: "row stem", role: "group", "aria-label": name }, controls, track.strip);
  row.sepnbFlip = flip;

  function drawOutline() {
    const buffer = player.buffer(player.state.system, name);
    const { width, height } = fitted(canvas);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!buffer || !player.state.ready) return;
    const { low, high } = outlines.of(player.state.system, name);
    const scale = (0.48 * height) / outlines.peak();
    context.fillStyle = getComputedStyle(row).getPropertyValue("--stem");
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x / width) * BINS);
      const last = Math.max(first + 1, Math.floor(((x + 1) / width) * BINS));
      let bottom = 0;
      let top = 0;
      for (let bin = first; bin < last; bin++) {
        bottom = Math.min(bottom, low[bin]);
        top = Math.max(top, high[bin]);
      }
      const least = height / 200;
      const up = Math.max(top * scale, least);
      context.fillRect(x, height / 2 - up, 1, up + Math.max(-bottom * scale, least));
    }
  }

  return {
    element: row,
    update(changed) {
      const { muted, soloed, gains, system } = player.state;
      if (["all", "theme"].includes(changed)) {
        const dark = row.closest(".sepnb-mixer").dataset.theme === "dark";
        row.style.setProperty("--stem", visible(colour, dark));
      }
      const there = player.system(system).stems.includes(name);
      row.classList.toggle("silent", !there || player.takenOut(system, name));
      row.classList.toggle("absent", !there);
      track.strip.dataset.note = there ? "" : `not in ${system}`;
      mute.setAttribute("aria-pressed", muted.includes(name));
      solo.setAttribute("aria-pressed", soloed.includes(name));
      const gain = own(gains, name);
      if (Number(fader.value) !== (gain ?? LOWEST)) fader.value = gain ?? LOWEST;
      value.textContent = decibels(gain);
      fader.setAttribute("aria-valuetext", decibels(gain));
      if (["all", "theme", "size", "ready", "system"].includes(changed)) drawOutline();
      track.update(changed);
    },
    frame: () => track.frame(),
  };
}

/** The outlines of all sounds, each made once, when first drawn; all are drawn to one scale. */
class Outlines {
  constructor(player) {
    this.player = player;
    this.made = new Map();
  }

  of(system, stem) {
    const name = key(system, stem);
    if (!this.made.has(name)) this.made.set(name, outline(this.player.buffer(system, stem)));
    return this.made.get(name);
  }

  /** The largest sample of the first system: its scale is that of all, so that they can be compared. */
  peak() {
    const { name, stems } = this.player.config.systems[0];
    return Math.max(1e-6, ...stems.map((stem) => this.of(name, stem).peak));
  }
}

const HERTZ = [100, 300, 1000, 3000, 10000];

function spectrogramPart(player) {
  const canvas = element("canvas");
  const label = "Spectrogram of what is heard, low frequencies below, loud is bright";
  const track = lane(player, { canvas, label, class: "lane spectrogram" });
  const spectrogram = new Spectrogram(player);
  const nyquist = player.rate / 2;
  const scale = HERTZ.filter((hertz) => hertz < 0.8 * nyquist).map((hertz) =>
    element(
      "span",
      { style: `bottom: ${(100 * Math.log(hertz / LOW_HERTZ)) / Math.log(nyquist / LOW_HERTZ)}%` },
      hertz >= 1000 ? `${hertz / 1000}k` : `${hertz}`,
    ),
  );
  track.strip.append(element("div", { class: "hertz", "aria-hidden": "true" }, ...scale));
  const title = element(
    "div",
    { class: "label" },
    element("span", { class: "name" }, "What you hear"),
    element("span", { class: "value" }, "Hz"),
  );
  let wanted = 0;
  let timer;
  function redraw() {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!player.state.ready || !canvas.clientWidth) return;
      const mine = ++wanted;
      const { width, height } = fitted(canvas, 1);
      if (width && height) await spectrogram.draw(canvas, () => mine === wanted);
    }, 120);
  }
  return {
    element: element("div", { class: "row" }, title, track.strip),
    update(name) {
      if (["all", "size", "ready", "system", "gains", "muted", "soloed", "match_levels"].includes(name)) redraw();
      track.update(name);
    },
    frame: () => track.frame(),
    destroy() {
      clearTimeout(timer);
      wanted += 1;
    },
  };
}

function loopPart(player) {
  const loop = button("Loop", { title: "Loop on and off (L)", onclick: () => toggleLoop(player) });
  const start = button("[", {
    title: "The loop starts here ([)",
    "aria-label": "Start the loop here",
    onclick: () => loopFrom(player),
  });
  const end = button("]", {
    title: "The loop ends here (])",
    "aria-label": "End the loop here",
    onclick: () => loopTo(player),
  });
  const range = element("span", { class: "range" });
  return {
    element: element("div", { class: "looping", role: "group", "aria-label": "Loop" }, loop, start, end, range),
    update() {
      const on = player.state.loop;
      loop.setAttribute("aria-pressed", Boolean(on));
      range.textContent = on ? `${clock(on[0])} – ${clock(on[1])}` : "";
    },
  };
}

const FIRST_LOOP = 4; // s: what L loops where no loop was marked before

function toggleLoop(player) {
  const { loop } = player.state;
  if (loop) {
    player.lastLoop = loop;
    player.set("loop", null);
  } else {
    const from = Math.min(player.position, Math.max(0, player.duration - SHORTEST_LOOP));
    player.set("loop", player.lastLoop ?? [from, Math.min(from + FIRST_LOOP, player.duration)]);
  }
}

function loopFrom(player) {
  const end = player.state.loop?.[1] ?? player.duration;
  const { position } = player;
  player.set("loop", [position, end > position ? end : player.duration]);
}

function loopTo(player) {
  const start = player.state.loop?.[0] ?? 0;
  const { position } = player;
  player.set("loop", [start < position ? start : 0, position]);
}

function volumePart(player) {
  const slider = element("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "Volume" });
  slider.addEventListener("input", () => player.set("volume", Number(slider.value)));
  return {
    element: element("label", { class: "volume" }, "Volume", slider),
    update() {
      const { volume } = player.state;
      if (Number(slider.value) !== volume) slider.value = volume;
      slider.setAttribute("aria-valuetext", `${Math.round(100 * volume)} percent`);
    },
  };
}

function peakPart(player) {
  const lamp = button("clipped", {
    class: "clip",
    hidden: true,
    title: "The sum has passed full scale. Click to put the lamp out.",
    onclick: () => (lamp.hidden = true),
  });
  const level = element("span", { class: "peak" }, "");
  let held = 0;
  return {
    element: element("div", { class: "levels" }, level, lamp),
    update(name) {
      if (name === "all") level.textContent = "peak −∞ dB";
      if (name === "playing" && !player.state.playing) held = 0;
    },
    frame() {
      const peak = player.peak();
      held = Math.max(peak, held * 0.97); // falls slowly enough to be read
      level.textContent = `peak ${held > 1e-4 ? decibels(20 * Math.log10(held)) : "−∞ dB"}`;
      if (peak > 1) lamp.hidden = false;
    },
  };
}

function savePart(player) {
  const said = element("span", { class: "said", role: "status" });
  const save = button("Save mix", { title: "The mix as it is set, as a WAV file", onclick: saveMix });
  async function saveMix() {
    save.disabled = true;
    try {
      const { channels, rate, peak } = await player.mixdown();
      const address = URL.createObjectURL(new Blob([wavBytes(channels, rate)], { type: "audio/wav" }));
      element("a", { href: address, download: "mix.wav" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      said.textContent = peak > 1 ? `lowered by ${(20 * Math.log10(peak)).toFixed(1)} dB so that it does not clip` : "";
    } catch (problem) {
      player.say(`The mix could not be made: ${problem.message}`);
    } finally {
      save.disabled = false;
    }
  }
  return {
    element: element("div", { class: "saving" }, save, said),
    update(name) {
      if (["all", "ready"].includes(name)) save.disabled = !player.state.ready;
    },
  };
}

const KEYS = [
  ["Space", "play, pause"],
  ["← →", "1 s back, on (Shift: 5 s)"],
  ["Home End", "start, end"],
  ["1 – 9", "choose a system"],
  ["M S", "mute, solo the stem in focus or under the mouse"],
  ["L", "loop on, off (a jump behind its end turns it off)"],
  ["[ ]", "the loop starts, ends here"],
];

function notePart(player) {
  const { note, blind } = player.config;
  const status = element("span", { role: "status" });
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const keys = KEYS.filter(([letters]) => !(blind && letters === "M S")).flatMap(([letters, what]) => [
    element("dt", {}, letters),
    element("dd", {}, what),
  ]);
  const help = element("details", { class: "keys" }, element("summary", {}, "Keys"), element("dl", {}, ...keys));
  return {
    element: element("div", { class: "foot" }, problem, element("div", { class: "note" }, status, help)),
    update() {
      const { ready, problem: text } = player.state;
      problem.textContent = text;
      problem.hidden = !text;
      status.textContent = ready ? note || "" : `Loading: ${player.progress}`;
    },
  };
}

// --- the view --------------------------------------------------------------------------------------------------------

/** A canvas with as many pixels as the screen has for it. */
function fitted(canvas, density = window.devicePixelRatio || 1) {
  const width = Math.round(canvas.clientWidth * density);
  const height = Math.round(canvas.clientHeight * density);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return { width, height };
}

/** The relative luminance of a colour given as [red, green, blue] of 0 to 255 (WCAG 2). */
function luminance(parts) {
  const [red, green, blue] = parts.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** A stem's colour, made lighter on dark or darker on light until it stands out (contrast 3 : 1 and a little more). */
function visible(colour, dark) {
  let parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const enough = (light) => (dark ? (light + 0.05) / 0.06 >= 4.2 : 1.05 / (light + 0.05) >= 3.2);
  for (let tries = 0; tries < 20 && !enough(luminance(parts)); tries++) {
    parts = parts.map((part) => part + ((dark ? 255 : 0) - part) * 0.08);
  }
  return `rgb(${parts.map(Math.round).join(" ")})`;
}

/** Whether the page around an element is dark: by the first background that is not clear, or else by its text. */
function isDark(at) {
  const parts = (colour) => colour.match(/[\d.]+/g)?.map(Number) ?? [];
  for (let node = at; node; node = node.parentElement) {
    const [red, green, blue, alpha = 1] = parts(getComputedStyle(node).backgroundColor);
    if (blue !== undefined && alpha > 0.5) return luminance([red, green, blue]) < 0.18;
  }
  return luminance(parts(getComputedStyle(at).color).slice(0, 3)) > 0.4;
}

function onKey(event, player, view) {
  const { target, key: pressed } = event;
  // Some keyboards reach [ and ] by AltGr, which Windows tells as Ctrl and Alt.
  if (event.defaultPrevented || event.metaKey || (event.ctrlKey && !event.getModifierState("AltGraph"))) return;
  const slides = target.type === "range";
  const seek = (seconds) => player.set("position", player.position + seconds);
  const { systems } = player.config;
  const actions = {
    " ": () => player.set("playing", !player.state.playing),
    ArrowLeft: () => seek(event.shiftKey ? -5 : -1),
    ArrowRight: () => seek(event.shiftKey ? 5 : 1),
    Home: () => player.set("position", 0),
    End: () => player.set("position", player.duration),
    l: () => toggleLoop(player),
    m: () => view.flip(target, "muted"),
    s: () => view.flip(target, "soloed"),
    "[": () => loopFrom(player),
    "]": () => loopTo(player),
  };
  let action = actions[pressed.length === 1 ? pressed.toLowerCase() : pressed];
  const chosen = /^[1-9]$/.test(pressed) && systemOfKey(systems, pressed);
  if (chosen) action = () => player.set("system", chosen.name);
  // A fader keeps the keys that move it; a button that was reached by Tab keeps Space, which presses it.
  if (slides && /^(Arrow|Home|End)/.test(pressed)) action = null;
  if (pressed === " " && view.byKeys && target.matches("button, summary") && !target.matches(".play")) action = null;
  if (pressed !== "Tab" && pressed !== "Escape") event.stopPropagation(); // a notebook has keys of its own
  if (!action || !player.state.ready) return;
  event.preventDefault();
  action();
}

/**
 * Draw a mixer into an element.
 *
 * host.config: {rate, samples, channels, stems: [{name, colour}], systems: [{name, stems, match_db}],
 *   sounds: [{id, system, stem, mime, bytes, url}], scale, note, blind, strip}; all sounds were multiplied by scale;
 *   match_db has the decibels that bring each stem to the level of the reference; blind shows the systems' names alone;
 *   bytes may be left out
 * host.load(id, alive): a promise of the bytes of a sound; alive(count) may be called whenever a part of them has come,
 *   with how many have come so far
 * host.get(name), host.set(name, value), host.onChange(name, callback): the state, see Player; onChange tells what was
 *   changed elsewhere, not what was set here, and returns a function that ends it
 * host.unanswered: what to say when no sound comes; host.player: a Player to show, where several views share one
 *
 * Returns {player, destroy()}; it is also the element's property `sepnbMixer`.
 */
export function createMixer(root, host) {
  const player = host.player ?? new Player(host);
  const { stems, blind, strip } = player.config;
  const outlines = new Outlines(player);
  const parts = {
    transport: transportPart(player),
    systems: systemsPart(player),
    timeline: timelinePart(player),
    stems: blind ? [] : stems.map((stem) => stemPart(player, stem, outlines)),
    spectrogram: blind || !strip ? null : spectrogramPart(player),
    loop: loopPart(player),
    volume: volumePart(player),
    peak: blind ? null : peakPart(player),
    save: blind ? null : savePart(player),
    note: notePart(player),
  };
  const all = Object.values(parts).flat().filter(Boolean);
  const elements = (...some) => some.flat().filter(Boolean).map((part) => part.element);
  const box = element(
    "div",
    { class: "sepnb-mixer", role: "group", "aria-label": "Mixer", tabindex: "0", "data-lm-suppress-shortcuts": "true" },
    element("div", { class: "bar" }, ...elements(parts.transport, parts.systems)),
    element("div", { class: "lanes" }, ...elements(parts.timeline, parts.stems, parts.spectrogram)),
    element("div", { class: "bar" }, ...elements(parts.loop, parts.volume, parts.peak, parts.save)),
    ...elements(parts.note),
  );
  box.classList.toggle("blind", Boolean(blind));

  const view = {
    byKeys: true,
    flip(target, list) {
      const row = target.closest?.(".row.stem") ?? box.querySelector(".row.stem:hover");
      row?.sepnbFlip(list);
    },
  };
  let ticking = false;
  const slow = matchMedia("(prefers-reduced-motion: reduce)");
  const update = (name) => {
    for (const part of all) part.update(name);
    if (name === "ready") box.classList.add("ready");
    if (player.state.playing && !ticking) requestAnimationFrame(tick);
  };
  const tick = () => {
    ticking = player.state.playing && box.isConnected;
    if (!ticking) return;
    for (const part of all) part.frame?.();
    if (slow.matches) setTimeout(() => requestAnimationFrame(tick), 200);
    else requestAnimationFrame(tick);
  };
  const setTheme = () => {
    const theme = isDark(root) ? "dark" : "light";
    if (box.dataset.theme === theme) return;
    box.dataset.theme = theme;
    update("theme");
  };

  box.addEventListener("keydown", (event) => {
    if (event.key === "Tab") view.byKeys = true;
    onKey(event, player, view);
  });
  box.addEventListener("pointerdown", () => (view.byKeys = false));
  root.replaceChildren(box);
  box.dataset.theme = isDark(root) ? "dark" : "light";
  update("all");
  if (player.state.ready) update("ready");
  const off = player.on(update);
  const sizes = new ResizeObserver(() => {
    setTheme();
    update("size");
  });
  sizes.observe(box);
  const themes = new MutationObserver(setTheme);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", setTheme);

  const mixer = {
    player,
    destroy() {
      off();
      sizes.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", setTheme);
      for (const part of all) part.destroy?.();
      if (!host.player) player.destroy();
      if (root.sepnbMixer === mixer) delete root.sepnbMixer;
      box.remove();
    },
  };
  root.sepnbMixer = mixer;
  return mixer;
}
