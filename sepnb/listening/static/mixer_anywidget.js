// Shows a mixer in a notebook. Joined after mixer.js, whose createMixer and Player it uses.
//
// The state lives in the widget's traits. Sounds are too large for them: they are asked for by a message and come in
// pieces, so that a saved notebook stays small. All views of one widget show one player, so that they sound as one.

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
      sound.alive();
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

  return {
    initialize({ model }) {
      host = hostOf(model);
      player = new Player(host);
      return () => {
        host.close();
        player.destroy();
      };
    },
    render({ el }) {
      const mixer = createMixer(el, { ...host, player });
      return () => mixer.destroy();
    },
  };
};
