// Runs within the page: works a form as a hand would, without a journey through the browser's own
// protocol for each key, so that every form of every service is worked in seconds.
const inpage = {
  last: null,
  fetches: 0,
  /** What a picker says that has found nothing. */
  none: "没有找到",

  tick: () => new Promise((resolve) => setTimeout(resolve)),

  async until(holds, what, ms = 5000) {
    for (const ends = Date.now() + ms; Date.now() < ends; await this.tick()) {
      const found = holds()
      if (found) return found
    }
    throw new Error(`not within ${ms} ms: ${what}`)
  },

  /** Another page of the application, as the browser's own buttons lead there. */
  async open(path, title) {
    const before = document.querySelector("main form")
    history.pushState(null, "", path)
    dispatchEvent(new PopStateEvent("popstate", { state: null }))
    const form = () => document.querySelector("main form")
    await this.until(() => form() && form() !== before && this.title() === title, `${path} under the title ${title}`)
    await this.tick()
  },

  title: () => document.querySelector("main h1")?.textContent.trim(),

  control: (path) => document.getElementById(`f-${path.replaceAll(".", "-")}`),

  /** Everything that the page says: shown, read aloud, or waiting in a field. */
  words() {
    const main = document.querySelector("main")
    const texts = document.createTreeWalker(main, NodeFilter.SHOW_TEXT)
    const said = [...main.querySelectorAll("[aria-label], [placeholder]")].flatMap((one) => [one.ariaLabel, one.placeholder])
    while (texts.nextNode()) said.push(texts.currentNode.textContent.trim())
    return said.filter(Boolean).join("\n")
  },

  /** Does one step; what is missing if it cannot be done, else null. */
  async act({ path, act, value }) {
    const control = await this.until(() => this.control(path), path, 1000).catch(() => null)
    if (!control) return "no control"
    const done = await this[act](control, value)
    await this.tick()
    return done ?? null
  },

  type(control, value) {
    control.value = value
    control.dispatchEvent(new Event("input", { bubbles: true }))
  },

  choose(control, value) {
    const fits = (one) => (value === null ? one.value !== "" : one.value === String(value))
    if (control.matches("select")) {
      const option = [...control.options].find(fits)
      if (!option) return "no option"
      control.value = option.value
      control.dispatchEvent(new Event("change", { bubbles: true }))
      return undefined
    }
    const box = [...control.querySelectorAll("input")].find(fits)
    box?.click()
    return box ? undefined : "no option"
  },

  add(control) {
    const buttons = control.querySelectorAll("button")
    buttons[buttons.length - 1].click()
  },

  /** A photo that nobody has sent in before. */
  async file(control) {
    const input = await this.until(() => control.querySelector("input[type=file]"), "somewhere to choose a file")
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 })
    const pen = canvas.getContext("2d")
    pen.fillStyle = `#${Math.floor(Math.random() * 2 ** 24).toString(16).padStart(6, "0")}`
    pen.fillRect(0, 0, 64, 48)
    const photo = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"))
    const chosen = new DataTransfer()
    chosen.items.add(new File([photo], "photo.png", { type: photo.type }))
    input.files = chosen.files
    input.dispatchEvent(new Event("change", { bubbles: true }))
    await this.until(() => control.querySelector("li.one"), "the photo is kept")
  },

  async pick(control, value) {
    let { fetches } = this
    control.click()
    const sheet = await this.until(() => document.querySelector("dialog[open]"), "the picker opens")
    const offered = () => [...sheet.querySelectorAll("li .choice:not(.soft)")]
    const none = () => sheet.querySelector("[role=status]")?.textContent.trim() === this.none
    const busy = () => sheet.querySelector("ul").ariaBusy === "true"
    const looked = () => this.fetches > fetches && !busy() && (offered().length || none())
    await this.until(looked, "the picker has looked")
    const fits = () => offered().find((one) => value === null || one.textContent.includes(value))
    if (!fits() && value !== null) {
      fetches = this.fetches
      this.type(sheet.querySelector("input[type=search]"), value)
      await this.until(looked, "the picker has looked again")
    }
    // Whoever is searched for by a sign-in name is shown by name.
    const found = fits() ?? (value === null ? undefined : offered()[0])
    found?.click()
    sheet.close()
    return found ? undefined : "nothing to pick"
  },

  /** Sends the form and waits for what becomes of it: an outcome, or what is wrong. */
  async send() {
    this.last = null
    document.querySelector("main form button[type=submit]").click()
    await this.tick()
    const settled = () => !document.querySelector("main form") || (document.querySelector("main form [role=alert]") && !document.querySelector("main form button[type=submit]")?.disabled)
    await this.until(settled, "the form is settled")
    const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent.trim())
    return {
      title: this.title(),
      entered: !document.querySelector("main form"),
      advice: texts("main form > .notice.bad").join(" "),
      fields: texts("main form .field .error, main form td .error"),
      answer: this.last,
    }
  },

  /** Hears what the services say to what is sent. */
  listen() {
    const asked = globalThis.fetch
    globalThis.fetch = async (address, how) => {
      this.fetches++
      const answer = await asked(address, how)
      if (how?.method === "POST" && String(address).startsWith("/api/")) {
        const said = await answer.clone().json().catch(() => null)
        this.last = { status: answer.status, slug: said?.slug ?? null, id: said?.id ?? null, errors: said?.errors ?? [], reason: said?.[document.documentElement.lang.slice(0, 2)]?.reason ?? "" }
      }
      return answer
    }
  },
}
inpage.listen()
globalThis.inpage = inpage
