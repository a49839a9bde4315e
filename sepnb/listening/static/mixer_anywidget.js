// Shows a mixer in a notebook. Joined after mixer.js, whose createMixer and Player it uses.
//
// The state lives in the widget's traits. Sounds are too large for them: they are asked for by a message and come in
// pieces, once a view is shown. All views of one widget show one player, so that they sound as one; after the last of
// them is gone, so is the player with its sounds, and a view that comes later asks for them again.

const KEPT = 5000; // ms that a player outlives its last view: an output that is moved goes and comes back
const UNANSWERED =
  "No answer for 20 seconds: this notebook is not running, or busy. Let it finish; if it is idle, run the cell again.";

function hostOf(model) {
  const waiting = new Map(); // id -> {pieces, left, alive, done, fail}
  let setting = false;

  function receive(message, buffers) {
    const sound = waiting.get(message.id);
    if (!sound) return;
    if (message.kind === "refused") {
      waiting.delete(message.id);
      sound.fail(new Error(message.why));
    } else if (message.kind === "piece") {
      sound.pieces ??= new Array(message.count).fill(null);
      if (sound.pieces[message.number] === null) {
        sound.pieces[message.number] = buffers[0];
        sound.left = (sound.left ?? message.count) - 1;
      }
      sound.alive(sound.pieces.reduce((sum, piece) => sum + (piece?.byteLength ?? 0), 0));
      if (sound.left > 0) return;
      waiting.delete(message.id);
      new Blob(sound.pieces).arrayBuffer().then(sound.done, sound.fail);
    }
  }

  model.on("msg:custom", receive);
  return {
    config: model.get("config"),
    unanswered: UNANSWERED,
    load(id, alive) {
      return new Promise((done, fail) => {
        waiting.set(id, { alive, done, fail });
        model.send({ kind: "want", id });
      });
    },
    get: (name) => model.get(name),
    set(name, value) {
      setting = true; // a model tells of its own changes, too
      model.set(name, value);
      setting = false;
      model.save_changes();
    },
    onChange(name, callback) {
      const tell = () => setting || callback(model.get(name));
      model.on(`change:${name}`, tell);
      return () => model.off(`change:${name}`, tell);
    },
    close: () => model.off("msg:custom", receive),
  };
}

export default () => {
  let host = null;
  let player = null;
  let views = 0;
  let going;

  function drop() {
    player.destroy();
    player = null;
    host.set("ready", false);
    host.set("problem", "");
  }

  return {
    initialize({ model }) {
      host = hostOf(model);
      return () => {
        clearTimeout(going);
        host.close();
        player?.destroy();
        player = null;
      };
    },
    render({ el }) {
      clearTimeout(going);
      player ??= new Player(host);
      const mixer = createMixer(el, { ...host, player });
      views += 1;
      return () => {
        mixer.destroy();
        views -= 1;
        if (views > 0 || !player) return;
        player.set("playing", false); // what nobody sees could not be stopped
        going = setTimeout(drop, KEPT);
      };
    },
  };
};
