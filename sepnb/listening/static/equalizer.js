// An equaliser's curve with a handle for each band, drawn into `root`. Knows no host but the one it is given:
//
// host = { config, get(name), set(name, value), onChange(name, callback) -> unsubscribe }
// config = { rate, max_gain, name, centres, source, target, counted }
//   source, target: levels in dB over third octaves at centres (empty where unknown); counted: those that are matched
// state: bands = [{ kind, frequency, gain, q }]
//
// Drag a handle for frequency and gain, with the wheel or shift for q. By keyboard: Tab to a handle, arrows move it,
// + and - change q, Delete takes the band away.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 340;
const NARROW = 560; // pixels: on a phone the picture is drawn narrower, not smaller
const EDGE = { left: 44, right: 12, top: 12, bottom: 34 };
const LOWEST = 20;
const KINDS = { peaking: "bell", low_shelf: "low shelf", high_shelf: "high shelf" };
const Q_RANGE = [0.1, 20];
const MOST_BANDS = 16;
const SPAN = 60; // dB of the spectra behind the curve

// |H|² in dB of one band, by the Audio EQ Cookbook; the same formulas as in equalizer.py.
export function bandDb({ kind, frequency, gain, q }, at, rate) {
  const omega = (2 * Math.PI * frequency) / rate;
  const cosine = Math.cos(omega);
  const alpha = Math.sin(omega) / (2 * q);
  const root = 10 ** (gain / 40);
  let b, a;
  if (kind === "peaking") {
    b = [1 + alpha * root, -2 * cosine, 1 - alpha * root];
    a = [1 + alpha / root, -2 * cosine, 1 - alpha / root];
  } else {
    const side = kind === "low_shelf" ? 1 : -1;
    const up = root + 1;
    const down = root - 1;
    const slope = 2 * Math.sqrt(root) * alpha;
    const middle = side * down * cosine;
    b = [root * (up - middle + slope), side * 2 * root * (down - side * up * cosine), root * (up - middle - slope)];
    a = [up + middle + slope, -side * 2 * (down + side * up * cosine), up + middle - slope];
  }
  const phi = Math.sin((Math.PI * at) / rate) ** 2;
  const power = ([x, y, z]) => (x + y + z) ** 2 - 4 * (x * y + 4 * x * z + y * z) * phi + 16 * x * z * phi * phi;
  return 10 * Math.log10(Math.max(power(b) / power(a), 1e-30));
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const hertz = (value) => (value >= 1000 ? `${+(value / 1000).toPrecision(3)} kHz` : `${+value.toPrecision(3)} Hz`);
const decibels = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)} dB`;

function svg(tag, attributes, parent, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function html(tag, attributes, parent, text) {
  const made = document.createElement(tag);
  Object.assign(made, attributes);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

/** Whether the page around an element is dark: by the first background that is not clear, or else by its text. */
function isDark(at) {
  const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([red, green, blue]) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  for (let node = at; node; node = node.parentElement) {
    const colour = parts(getComputedStyle(node).backgroundColor);
    if (colour.length >= 3 && (colour[3] ?? 1) > 0.5) return light(colour) < 118; // of 255: middle grey to the eye
  }
  return light(parts(getComputedStyle(at).color)) > 165;
}

export function createEqualizer(root, host) {
  const { rate, max_gain: maxGain, name, centres = [], source = [], target = [], counted = [] } = host.config;
  const WIDTH = root.clientWidth && root.clientWidth < NARROW ? 400 : 720;
  const highest = Math.min(20000, 0.49 * rate);
  const range = maxGain + 6;
  let bands = host.get("bands").map((band) => ({ ...band }));
  let chosen = 0;
  let handles = [];

  const across = (f) =>
    EDGE.left + (Math.log(f / LOWEST) / Math.log(highest / LOWEST)) * (WIDTH - EDGE.left - EDGE.right);
  const down = (db) => EDGE.top + ((range - db) / (2 * range)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const frequencyAt = (x) =>
    LOWEST * (highest / LOWEST) ** ((x - EDGE.left) / (WIDTH - EDGE.left - EDGE.right));
  const gainAt = (y) => range - ((y - EDGE.top) / (HEIGHT - EDGE.top - EDGE.bottom)) * 2 * range;
  const response = (f) => bands.reduce((sum, band) => sum + bandDb(band, f, rate), 0);

  const box = html("div", { className: "sepnb-equalizer", tabIndex: -1 });
  box.dataset.lmSuppressShortcuts = "true"; // JupyterLab keeps its own keys out
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", name ? `Equaliser of ${name}` : "Equaliser");
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, box);
  drawGrid();
  const behind = svg("g", {}, picture);
  const curve = svg("path", { class: "curve" }, picture);
  const front = svg("g", {}, picture);
  const legend = html("div", { className: "legend" }, box);
  const tools = html("div", { className: "tools" }, box);
  const fields = drawTools();
  const says = html("div", { className: "says" }, box);
  says.setAttribute("aria-live", "polite");
  root.append(box);
  const setTheme = () => (box.dataset.theme = isDark(root) ? "dark" : "light");
  setTheme();
  const sizes = new ResizeObserver(setTheme); // a notebook puts the element into its page later
  sizes.observe(box);
  const themes = new MutationObserver(setTheme);
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", setTheme);

  function drawGrid() {
    for (const f of [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000].filter((f) => f <= highest)) {
      svg("line", { class: "grid", x1: across(f), x2: across(f), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }, picture);
      const words = f >= 1000 ? `${f / 1000}k` : `${f}`;
      svg("text", { x: across(f), y: HEIGHT - EDGE.bottom + 14, "text-anchor": "middle" }, picture, words);
    }
    const step = range > 12 ? 6 : 3;
    for (let db = -Math.floor(range / step) * step; db <= range; db += step) {
      const look = db === 0 ? "grid zero" : "grid";
      svg("line", { class: look, x1: EDGE.left, x2: WIDTH - EDGE.right, y1: down(db), y2: down(db) }, picture);
      svg("text", { x: EDGE.left - 6, y: down(db) + 4, "text-anchor": "end" }, picture, `${db > 0 ? "+" : ""}${db}`);
    }
    const middle = (EDGE.left + WIDTH - EDGE.right) / 2;
    svg("text", { x: middle, y: HEIGHT - 4, "text-anchor": "middle" }, picture, "frequency (Hz)");
    const turned = `translate(11 ${(EDGE.top + HEIGHT - EDGE.bottom) / 2}) rotate(-90)`;
    svg("text", { transform: turned, "text-anchor": "middle" }, picture, "gain (dB)");
  }

  function drawTools() {
    const labelled = (words, made) => {
      const label = html("label", {}, tools, words);
      label.append(made);
      return made;
    };
    const kind = labelled("Band ", html("select", {}));
    for (const [value, words] of Object.entries(KINDS)) html("option", { value }, kind, words);
    const number = (min, max, step) => html("input", { type: "number", min, max, step });
    const found = {
      kind,
      frequency: labelled("Hz ", number(LOWEST, Math.floor(highest), "any")),
      gain: labelled("dB ", number(-maxGain, maxGain, 0.1)),
      q: labelled("q ", number(Q_RANGE[0], Q_RANGE[1], "any")),
      add: html("button", { type: "button", onclick: add }, tools, "Add band"),
      remove: html("button", { type: "button", onclick: () => remove(chosen) }, tools, "Remove band"),
      flat: html("button", { type: "button", onclick: flat }, tools, "All flat"),
    };
    kind.onchange = () => change(chosen, { kind: kind.value });
    for (const key of ["frequency", "gain", "q"]) {
      found[key].onchange = () => {
        if (Number.isFinite(found[key].valueAsNumber)) change(chosen, { [key]: found[key].valueAsNumber });
        else fill();
      };
    }
    return found;
  }

  // ------------------------------------------------------------------------------------------------ what is drawn

  function path(frequencies, levels) {
    const points = frequencies.map((f, i) => [across(f), levels[i]]).filter(([x, y]) => isFinite(x) && isFinite(y));
    return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  }

  function drawSpectra() {
    behind.replaceChildren();
    if (!source.length) return;
    // A match is one of colour: what comes out is drawn at the level of what went in, as the target is.
    const gains = centres.map(response);
    const used = gains.filter((_, i) => counted[i] ?? true);
    const offset = used.reduce((sum, gain) => sum + gain, 0) / used.length;
    const filtered = source.map((level, i) => level + gains[i] - offset);
    const loudest = Math.max(...source, ...target);
    const high = (level) =>
      EDGE.top + clamp((loudest + 10 - level) / (SPAN + 10), 0, 1) * (HEIGHT - EDGE.top - EDGE.bottom);
    const shown = centres.map((f) => clamp(f, LOWEST, highest));
    for (const [look, levels] of [["target", target], ["before", source], ["after", filtered]]) {
      if (levels.length) svg("path", { class: `spectrum ${look}`, d: path(shown, levels.map(high)) }, behind);
    }
  }

  function drawLegend() {
    const entries = [["curve", "gain of the equaliser"]];
    if (source.length) entries.push(["before", `${name || "sound"} before`], ["after", "after"]);
    if (target.length) entries.push(["target", "target"]);
    for (const [look, words] of entries) {
      const entry = html("span", {}, legend);
      const line = svg("svg", { viewBox: "0 0 24 8", class: "key", "aria-hidden": "true" }, entry);
      svg("path", { class: look === "curve" ? "curve" : `spectrum ${look}`, d: "M0 4H24" }, line);
      html("span", {}, entry, words);
    }
  }

  function draw() {
    const steps = Array.from({ length: 361 }, (_, i) => LOWEST * (highest / LOWEST) ** (i / 360));
    curve.setAttribute("d", path(steps, steps.map((f) => down(clamp(response(f), -range, range)))));
    drawSpectra();
    bands.forEach((band, i) => {
      const handle = handles[i];
      handle.setAttribute("transform", `translate(${across(clamp(band.frequency, LOWEST, highest))} ${down(band.gain)})`);
      handle.setAttribute("aria-valuenow", band.gain);
      handle.setAttribute("aria-label", `Band ${i + 1}, ${KINDS[band.kind]}`);
      handle.setAttribute("aria-valuetext", describe(band));
      handle.classList.toggle("chosen", i === chosen);
    });
    fill();
  }

  const describe = (band) => `${hertz(band.frequency)}, ${decibels(band.gain)}, q ${band.q.toFixed(2)}`;

  function fill() {
    const band = bands[chosen];
    for (const key of ["kind", "frequency", "gain", "q", "remove"]) fields[key].disabled = !band;
    fields.add.disabled = bands.length >= MOST_BANDS;
    if (!band) {
      says.textContent = "No bands: the sound stays as it is.";
      return;
    }
    fields.kind.value = band.kind;
    fields.frequency.value = +band.frequency.toPrecision(4);
    fields.gain.value = +band.gain.toFixed(1);
    fields.q.value = +band.q.toFixed(2);
    says.textContent = `Band ${chosen + 1} of ${bands.length}: ${KINDS[band.kind]}, ${describe(band)}`;
  }

  function rebuild() {
    const held = handles.includes(document.activeElement);
    front.replaceChildren();
    handles = bands.map((_, i) => {
      const range = { role: "slider", tabindex: 0, "aria-valuemin": -maxGain, "aria-valuemax": maxGain };
      const handle = svg("g", { class: "handle", ...range }, front);
      svg("circle", { class: "reach", r: 18 }, handle);
      svg("circle", { class: "dot", r: 9 }, handle);
      svg("text", { y: 4, "text-anchor": "middle" }, handle, `${i + 1}`);
      handle.addEventListener("focus", () => choose(i));
      handle.addEventListener("keydown", (event) => key(event, i));
      handle.addEventListener("pointerdown", (event) => drag(event, i));
      handle.addEventListener("wheel", (event) => wheel(event, i), { passive: false });
      return handle;
    });
    chosen = clamp(chosen, 0, Math.max(0, bands.length - 1));
    draw();
    if (held) handles[chosen]?.focus();
  }

  // --------------------------------------------------------------------------------------------- what changes it

  function tell() {
    host.set("bands", bands.map((band) => ({ ...band })));
  }

  function change(i, values, quiet = false) {
    const band = { ...bands[i], ...values };
    band.frequency = clamp(band.frequency, LOWEST, highest);
    band.gain = clamp(band.gain, -maxGain, maxGain);
    band.q = clamp(band.q, ...Q_RANGE);
    bands[i] = band;
    draw();
    if (!quiet) tell();
  }

  function choose(i) {
    chosen = i;
    draw();
  }

  function add() {
    bands.push({ kind: "peaking", frequency: Math.min(1000, highest / 2), gain: 0, q: 1 });
    chosen = bands.length - 1;
    rebuild();
    tell();
  }

  function remove(i) {
    bands.splice(i, 1);
    rebuild();
    tell();
  }

  function flat() {
    bands = bands.map((band) => ({ ...band, gain: 0 }));
    draw();
    tell();
  }

  function key(event, i) {
    const band = bands[i];
    const fine = event.shiftKey ? 0.2 : 1;
    const moves = {
      ArrowLeft: { frequency: band.frequency * 2 ** (-fine / 12) },
      ArrowRight: { frequency: band.frequency * 2 ** (fine / 12) },
      ArrowUp: { gain: band.gain + 0.5 * fine },
      ArrowDown: { gain: band.gain - 0.5 * fine },
      "+": { q: band.q * 1.1 },
      "=": { q: band.q * 1.1 },
      "-": { q: band.q / 1.1 },
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Tab" && event.key !== "Escape") event.stopPropagation(); // a notebook has keys of its own
    if (moves[event.key]) change(i, moves[event.key]);
    else if (event.key === "Delete" || event.key === "Backspace") remove(i);
    else return;
    event.preventDefault();
  }

  function wheel(event, i) {
    event.preventDefault();
    choose(i);
    change(i, { q: bands[i].q * 1.1 ** -Math.sign(event.deltaY) });
  }

  function drag(event, i) {
    if (event.button > 0) return;
    event.preventDefault();
    const handle = handles[i];
    handle.focus();
    handle.setPointerCapture(event.pointerId);
    const place = ({ clientX, clientY }) =>
      new DOMPoint(clientX, clientY).matrixTransform(picture.getScreenCTM().inverse());
    const began = place(event);
    const from = { ...bands[i] };
    // A handle is taken where it was touched, so that it does not jump under the finger.
    const offset = { x: across(from.frequency) - began.x, y: down(from.gain) - began.y };
    let due = 0;
    const move = (moved) => {
      const now = place(moved);
      if (moved.shiftKey) change(i, { q: from.q * 2 ** ((began.y - now.y) / 40) }, true);
      else change(i, { frequency: frequencyAt(now.x + offset.x), gain: gainAt(now.y + offset.y) }, true);
      due ||= setTimeout(() => ((due = 0), tell()), 100); // a host may be far away: not at every pixel
    };
    const end = () => {
      clearTimeout(due);
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("lostpointercapture", end);
      tell();
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", end);
  }

  const stop = host.onChange("bands", (values) => {
    if (JSON.stringify(values) === JSON.stringify(bands)) return; // our own change, come back
    const same = values.length === bands.length;
    bands = values.map((band) => ({ ...band }));
    same ? draw() : rebuild();
  });
  const quiet = (event) => event.stopPropagation();
  tools.addEventListener("keydown", quiet); // figures typed into a field are no shortcuts of the notebook
  drawLegend();
  rebuild();
  return {
    destroy() {
      stop();
      sizes.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", setTheme);
      box.remove();
    },
  };
}
