/** So long a browser may take to read what it was told to save. */
const READ_MS = 60_000

/** Gives a file to whoever is there, to be saved under `name`. */
export function saveAs(file: Blob, name: string): void {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), READ_MS)
}
