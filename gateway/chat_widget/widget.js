(()=>{const S="SETTINGS"})()
