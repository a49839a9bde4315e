// Puts mixers into a page that Gradio draws. Joined after mixer.js, whose createMixer it uses.
//
// Python writes   <div class="sepnb-mixer-mount" id="…" data-config="{…}" data-state="{…}"></div>
// and later       <div class="sepnb-mixer-orders" data-orders='{"number": 3, "set": {"gains": {…}}}'></div>
// to move the faders. A mount with data-as-before takes over the faders of the mixer that it replaces.
// The page is Gradio's: elements come and go, so everything is found by watching it.

const MOUNT = ".sepnb-mixer-mount";
const ORDERS = ".sepnb-mixer-orders";
const STATE = {
  position: 0, playing: false, volume: 1, gains: {}, muted: [], soloed: [], system: "", loop: null,
  match_levels: false, ready: false, problem: "",
};
const mounted = new Map(); // element -> { mixer, state, change }
const obeyed = new WeakMap(); // element -> text of the last orders
const KEPT = ["position", "volume", "gains", "muted", "soloed", "loop"];
let before = {}; // of the mixer that went last, what the next may take over

function hostOf(config, wanted) {
  const first = config.systems.length ? config.systems[0].name : "";
  const state = { ...STATE, system: first, ...wanted };
  const listeners = new Map();
  const sounds = new Map(config.sounds.map((sound) => [sound.id, sound.url]));
  const host = {
    config,
    async load(id) {
      const answer = await fetch(sounds.get(id));
      if (!answer.ok) throw new Error("a sound is no longer on the server: separate the song again");
      return answer.arrayBuffer();
    },
    get: (name) => state[name],
    set(name, value) { state[name] = value; },
    onChange(name, callback) {
      if (!listeners.has(name)) listeners.set(name, new Set());
      listeners.get(name).add(callback);
      return () => listeners.get(name).delete(callback);
    },
  };
  const change = (name, value) => {
    state[name] = value;
    for (const callback of listeners.get(name) ?? []) callback(value);
  };
  return { host, state, change };
}

function mount(element) {
  const text = element.dataset.config;
  let config, wanted;
  try {
    config = JSON.parse(text);
    wanted = JSON.parse(element.dataset.state || "{}");
  } catch {
    element.textContent = "The mixer could not be set up: reload the page.";
    return;
  }
  const kept = "asBefore" in element.dataset ? before : {};
  const { host, state, change } = hostOf(config, { ...wanted, ...kept });
  element.replaceChildren();
  mounted.set(element, { mixer: createMixer(element, host), state, change, config, text });
}

function obey(element) {
  const text = element.dataset.orders || "";
  if (!text || obeyed.get(element) === text) return;
  obeyed.set(element, text);
  let orders;
  try { orders = JSON.parse(text); } catch { return; }
  for (const { change } of mounted.values()) {
    for (const [name, value] of Object.entries(orders.set ?? {})) change(name, value);
  }
}

function look() {
  for (const [element, { mixer, state, text }] of mounted) {
    // Gradio keeps an element and gives it another take's attributes, or takes away what it did not draw itself.
    if (!element.isConnected || element.dataset.config !== text || !element.firstElementChild) {
      mounted.delete(element);
      before = Object.fromEntries(KEPT.map((name) => [name, state[name]]));
      mixer.destroy();
    }
  }
  for (const element of document.querySelectorAll(MOUNT)) if (!mounted.has(element)) mount(element);
  for (const element of document.querySelectorAll(ORDERS)) obey(element);
}

// What is heard of each stem in dB, null where it is silent: for the server, which cannot see the faders.
window.sepnbMixerGains = () => {
  const entry = mounted.values().next().value;
  if (!entry) return "{}";
  const { player } = entry.mixer;
  const gains = {};
  // The original is one sound, and no stem of the mix: its solo is none of theirs.
  const { name: system, stems } = player.config.systems[0];
  for (const name of stems) gains[name] = player.takenOut(system, name) ? null : own(player.state.gains, name);
  return JSON.stringify(gains);
};

let planned = false;
new MutationObserver(() => {
  if (planned) return;
  planned = true;
  setTimeout(() => { planned = false; look(); }, 0);
}).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-orders", "data-config"] });
look();
