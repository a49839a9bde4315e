// Shows an equaliser in a notebook. Joined after equalizer.js, whose createEqualizer it uses.

export default {
  render({ model, el }) {
    const host = {
      config: model.get("config"),
      get: (name) => model.get(name),
      set(name, value) {
        model.set(name, value);
        model.save_changes();
      },
      onChange(name, callback) {
        const tell = () => callback(model.get(name));
        model.on(`change:${name}`, tell);
        return () => model.off(`change:${name}`, tell);
      },
    };
    const { destroy } = createEqualizer(el, host);
    return destroy;
  },
};
