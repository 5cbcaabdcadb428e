/** How what is kept of a test is found again: the directory of a file of tests, and in it one for each test with a network of its own. */

/** A test's name as that of a directory. */
export function artifactName(name: string): string {
  return name
    .replaceAll(/[^\w.-]+/g, "-")
    .slice(0, 80)
    .replace(/-+$/, "");
}

/** "test/kernel/daemon/a/b.test.ts" as guest/run-tests.sh names its directory: two folders may have files of one name. */
export function artifactFolder(file: string): string {
  return file
    .replace(/^test\/kernel\//, "")
    .replace(/\.test\.[tj]s$/, "")
    .replaceAll("/", "-");
}
